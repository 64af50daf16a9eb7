/* SPDX-License-Identifier: Apache-2.0 */
/* What the network service is asked, answered and configured with: refused with a sentence, or within its bounds. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/net_message.h"
#include "service/netd/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One that is understood is the same when it was written and read again. */
static void check_request(const char *json) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(freep) char *text = NULL;
        NetRequest request, again;

        if (net_request_parse(json, &request, &error) < 0) {
                assert(error.message);
                return;
        }
        assert(strlen(request.vm_id) == NET_VM_ID_LEN);
        if (request.kind == NET_REQUEST_TAP) {
                assert(request.queues >= 1 && request.queues <= VM_NETWORK_QUEUES_MAX);
                assert(request.index < VM_NETWORKS_MAX);
                assert(vm_network_name_is_valid(request.network));
        }
        assert(net_request_format(&request, &text) == 0);
        assert(net_request_parse(text, &again, NULL) == 0);
        assert(request.kind != NET_REQUEST_TAP || request.queues == again.queues);
}

static void check_answer(const char *json) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(net_answer_deinit) NetAnswer answer = {0};

        if (net_answer_parse(json, &answer, &error) < 0)
                assert(error.message);
        else
                assert(strlen(answer.interface) <= NET_INTERFACE_MAX);
}

static void check_settings(const char *text, size_t len) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(freep) Settings *settings = malloc(sizeof(*settings));

        if (!settings)
                return;
        if (settings_parse(text, len, settings, &error) < 0) {
                assert(error.message);
                return;
        }
        assert(settings->n_networks >= 1 && settings->n_networks <= NETWORKS_MAX);
        for (size_t i = 0; i < settings->n_networks; i++)
                assert(vm_network_name_is_valid(settings->networks[i].name));
        assert(settings->pool.prefix_len >= 8 && settings->pool.prefix_len <= 24);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = strndup((const char *) data, size);

        if (!text)
                return 0;
        check_request(text);
        check_answer(text);
        check_settings((const char *) data, size);
        return 0;
}
