/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "dbus/client/client.h"
#include "dbus/client/errors.h"
#include "dbus/names.h"

static int get_all(Client *client, const char *which, const char *path, Value **ret,
                   TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *act = NULL;
        int r;

        if (asprintf(&act, "cannot show VM \"%s\"", which) < 0) {
                act = NULL;
                return -ENOMEM;
        }
        r = client_new_call(client, path, "org.freedesktop.DBus.Properties", "GetAll", &call,
                            reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "s", VIVARIUM_VM_INTERFACE);
        if (r >= 0)
                r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, act, reterr);
        return client_read(reply, ret, reterr);
}

/**
 * client_read_vm() - all properties of a VM, by their names, as one object
 * @which: what the user calls it; for messages
 *
 * Path is added, and for a VM that ended DeathRecord, which GetAll leaves out for its size.
 * Return: 0; negative errno with @reterr set.
 */
int client_read_vm(Client *client, const char *which, const char *path, Value **ret,
                   TextError *reterr) {
        _cleanup_(value_freep) Value *vm = NULL, *record = NULL;
        int r = get_all(client, which, path, &vm, reterr);

        if (r >= 0)
                r = value_add_string(vm, "Path", path);
        if (r >= 0 && *value_get_string(vm, "DeathReason")) {
                r = client_get_property(client, path, "DeathRecord", &record, reterr);
                if (r >= 0)
                        r = value_append_consume(vm, "DeathRecord", TAKE(record));
        }
        if (r >= 0)
                *ret = TAKE(vm);
        return r;
}

/**
 * client_get_history() - deaths, the last one first, each an object with the members of a death record and identity
 * @which: name or id of the VM; "" for all that are the caller's to know
 * @max:   number of deaths; 0 for all
 *
 * Return: 0; negative errno with @reterr set.
 */
int client_get_history(Client *client, const char *which, uint32_t max, Value **ret,
                       TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE, "GetHistory",
                            &call, reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "su", which, max);
        if (r >= 0)
                r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot read the history", reterr);
        return client_read(reply, ret, reterr);
}
