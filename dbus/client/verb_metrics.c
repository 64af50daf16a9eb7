/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "dbus/client/errors.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

/** verb_metrics() - `vivctl metrics`. Return: exit status; negative errno with @reterr set. */
int verb_metrics(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(value_freep) Value *metrics = NULL;
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        const char *format = args_value(args, OPTION_FORMAT);
        int r;

        r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE, "GetMetrics",
                            &call, reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "s", format ? format : "prometheus");
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot read the metrics", reterr);
        r = client_read(reply, &metrics, reterr);
        if (r < 0)
                return r;
        if (metrics->type != VALUE_STRING)
                return text_error_set(reterr, -EBADMSG, "the service's answer has a wrong type");
        if (client->json != JSON_OFF)
                return client_print_json(client, metrics);
        strbuf_append(&text, metrics->string);
        return client_print_text(&text);
}
