/* SPDX-License-Identifier: Apache-2.0 */

#include "config/vm_config_files.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

/* The service's answer is JSON already; only its layout is the user's choice. */
static int print_config(const Client *client, const char *json, TextError *reterr) {
        _cleanup_(vm_draft_freep) VmDraft *draft = NULL;
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        _cleanup_(freep) char *formatted = NULL;
        int r = vm_draft_new(json, &draft, reterr);

        if (r >= 0)
                r = vm_draft_to_json(draft, client->json != JSON_SHORT, &formatted);
        if (r < 0)
                return r;
        strbuf_printf(&text, "%s\n", formatted);
        return client_print_text(&text);
}

/** verb_check_config() - `vivctl check-config [CONFIG.json]`. Return: exit status; negative errno with @reterr set. */
int verb_check_config(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(vm_request_deinit) VmRequest request = {0};
        const char *json;
        int r;

        r = vm_request_build(args, &request, reterr);
        if (r == 0)
                r = client_require_fds(client, reterr);
        if (r == 0)
                r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE,
                                    "CheckConfig", &call, reterr);
        if (r != 0)
                return r;
        r = vm_request_append(&request, call);
        if (r >= 0)
                r = client_send(client, call, &reply, &error);
        if (r >= 0)
                r = sd_bus_message_read_basic(reply, 's', &json);
        if (r < 0)
                return vm_request_call_error(client, &request, &error, r,
                                             args->n_operands > 0 ? args->operands[0]
                                                                  : "cannot check the config",
                                             reterr);
        return print_config(client, json, reterr);
}
