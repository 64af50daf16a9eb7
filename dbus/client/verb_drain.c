/* SPDX-License-Identifier: Apache-2.0 */

#include "dbus/client/errors.h"
#include "dbus/client/stop_timeout.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

static int call_drain(Client *client, uint64_t timeout_usec, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE, "Drain",
                                &call, reterr);

        if (r >= 0)
                r = sd_bus_message_append(call, "t", timeout_usec);
        if (r < 0)
                return r;
        r = sd_bus_call(client->bus, call, timeout_usec + STOP_ANSWER_SLACK_USEC, &error, &reply);
        return r < 0 ? client_call_error(client, &error, r, "cannot drain the host", reterr) : 0;
}

static int call_cancel(Client *client, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE,
                                "CancelDrain", &call, reterr);

        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        return r < 0 ? client_call_error(client, &error, r, "cannot cancel the drain", reterr) : 0;
}

/** verb_drain() - `vivctl drain`: end all VMs and refuse new ones, or no longer. Return: exit status; negative errno. */
int verb_drain(Client *client, const Args *args, TextError *reterr) {
        uint64_t timeout_usec = 0;
        int r = client_connect(client, reterr);

        if (r < 0)
                return r;
        if (args_has(args, OPTION_CANCEL))
                return call_cancel(client, reterr);
        r = stop_timeout_read(args, &timeout_usec, reterr);
        return r < 0 ? r : call_drain(client, timeout_usec, reterr);
}
