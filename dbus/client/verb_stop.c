/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "dbus/client/errors.h"
#include "dbus/client/reasons.h"
#include "dbus/client/stop_timeout.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

typedef struct Stop {
        const Client *client; /* borrowed */
        unsigned n_pending;
        int status;
} Stop;

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        _cleanup_(text_error_deinit) TextError text = {0};
        Stop *stop = userdata;
        int r;

        stop->n_pending--;
        if (!sd_bus_message_is_method_error(reply, NULL))
                return 0;
        r = client_call_error(stop->client, sd_bus_message_get_error(reply), -EIO,
                              "cannot stop a VM", &text);
        client_print_error(&text, r);
        stop->status = EXIT_STATUS_ERROR;
        return 0;
}

/* All are asked before the first one is waited for. */
static int ask(Client *client, const char *which, uint64_t timeout_usec, Stop *stop,
               TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(freep) char *path = NULL;
        int r = client_find_vm(client, which, &path, reterr);

        if (r >= 0)
                r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "Stop", &call, reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "t", timeout_usec);
        if (r >= 0)
                r = sd_bus_call_async(client->bus, NULL, call, on_answer, stop,
                                      timeout_usec + STOP_ANSWER_SLACK_USEC);
        if (r < 0)
                return r;
        stop->n_pending++;
        return 0;
}

static int wait_for_all(Client *client, const Stop *stop) {
        while (stop->n_pending > 0) {
                int r = sd_bus_process(client->bus, NULL);

                if (r == 0)
                        r = sd_bus_wait(client->bus, UINT64_MAX);
                if (r < 0)
                        return r;
        }
        return 0;
}

/** verb_stop() - `vivctl stop VM...`: end VMs gently. Return: exit status; negative errno. */
int verb_stop(Client *client, const Args *args, TextError *reterr) {
        Stop stop = {.client = client, .status = EXIT_STATUS_OK};
        uint64_t timeout_usec = 0;
        int r = stop_timeout_read(args, &timeout_usec, reterr);

        if (r >= 0)
                r = client_connect(client, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < args->n_operands; i++) {
                _cleanup_(text_error_deinit) TextError error = {0};

                r = ask(client, args->operands[i], timeout_usec, &stop, &error);
                if (r < 0) {
                        client_print_error(&error, r);
                        stop.status = EXIT_STATUS_ERROR;
                }
        }
        r = wait_for_all(client, &stop);
        return r < 0 ? text_error_set(reterr, r, "cannot wait for the end: the bus is gone")
                     : stop.status;
}
