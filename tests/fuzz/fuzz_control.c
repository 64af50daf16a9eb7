/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the control socket, both ways: what is accepted and written again must be accepted and read the same. And
 * commands to the balloon.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/balloon_message.h"
#include "config/control_message.h"

#define N_FDS 3u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_request(const char *json) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(freep) char *again = NULL;
        ControlRequest request, second;
        int r = control_request_parse(json, N_FDS, &request, &error);

        if (r < 0) {
                assert(error.message);
                return;
        }
        assert(request.fd_index < (int) N_FDS);
        if (request.kind != CONTROL_UNSUPPORTED) {
                assert(control_request_format(&request, &again) == 0);
                r = control_request_parse(again, N_FDS, &second, &error);
                assert(r == 0 && second.kind == request.kind && second.index == request.index &&
                       second.bytes == request.bytes && second.flag == request.flag &&
                       second.fd_index == request.fd_index && !second.text == !request.text);
                control_request_deinit(&second);
        }
        control_request_deinit(&request);
}

static void check_balloon_command(const char *json) {
        _cleanup_(text_error_deinit) TextError error = {0};
        BalloonCommand command;

        if (balloon_command_parse(json, &command, &error) == 0)
                assert(command.kind <= BALLOON_WORKING_SET_CONFIG && command.bytes <= INT64_MAX);
        else
                assert(error.message);
}

static void check_answer(const char *json) {
        _cleanup_(text_error_deinit) TextError error = {0};
        ControlAnswer answer;

        if (control_answer_parse(json, &answer, &error) == 0)
                free(answer.text);
        else
                assert(error.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = malloc(size + 1);

        if (!text)
                return 0;
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        check_request(text);
        check_answer(text);
        check_balloon_command(text);
        return 0;
}
