/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest says of its payload: any bytes are refused with a sentence or make a message within its bounds. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "service/monitor/notify_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, bool present) {
        size_t len = strnlen(text, NOTIFY_TEXT_MAX + 1);

        assert(len <= NOTIFY_TEXT_MAX);
        assert(present || len == 0);
        assert(!memchr(text, '\n', len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(text_error_deinit) TextError error = {0};
        NotifyMessage message;

        if (notify_message_parse((const char *) data, size, &message, &error) < 0) {
                assert(error.message);
                return 0;
        }
        assert(size <= NOTIFY_BYTES_MAX);
        assert(message.stage >= NOTIFY_STAGE_STARTED && message.stage <= NOTIFY_STAGE_FINISHED);
        assert(!message.has_exit_status ||
               (message.exit_status >= 0 && message.exit_status <= 255));
        assert(!(message.has_exit_status || message.has_error) ||
               message.stage == NOTIFY_STAGE_FINISHED);
        assert(message.error_code >= 0);
        check_text(message.error_text, message.has_error);
        check_text(message.status, message.has_status);
        return 0;
}
