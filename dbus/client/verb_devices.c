/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "dbus/client/errors.h"
#include "dbus/client/table.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

#define MEMBERS 4u

/* Path, kind, driver, whether it is free. */
static bool is_device(const Value *device) {
        return device->type == VALUE_ARRAY && device->n_members >= MEMBERS &&
               device->members[0]->type == VALUE_STRING &&
               device->members[1]->type == VALUE_STRING &&
               device->members[2]->type == VALUE_STRING && device->members[3]->type == VALUE_BOOL;
}

static int device_json(const Value *device, Value **ret) {
        static const char *const keys[] = {"Path", "Kind", "Driver"};
        _cleanup_(value_freep) Value *object = NULL, *available = NULL;
        int r = value_new(VALUE_OBJECT, &object);

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(keys); i++)
                r = value_add_string(object, keys[i], device->members[i]->string);
        if (r >= 0)
                r = value_new(VALUE_BOOL, &available);
        if (r < 0)
                return r;
        available->boolean = device->members[3]->boolean;
        r = value_append_consume(object, "Available", TAKE(available));
        if (r >= 0)
                *ret = TAKE(object);
        return r;
}

static int print_json(const Client *client, const Value *devices) {
        _cleanup_(value_freep) Value *array = NULL;
        int r = value_new(VALUE_ARRAY, &array);

        for (size_t i = 0; r >= 0 && i < devices->n_members; i++) {
                Value *object = NULL;

                r = device_json(devices->members[i], &object);
                if (r >= 0)
                        r = value_append_consume(array, NULL, object);
        }
        return r < 0 ? r : client_print_json(client, array);
}

static int print_table(const Client *client, const Value *devices) {
        static const TableColumn columns[] = {
                {"PATH", false}, {"KIND", false}, {"DRIVER", false}, {"AVAILABLE", false}};
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        _cleanup_(table_deinit) Table table;
        int r = 0;

        table_init(&table, columns, ELEMENTSOF(columns));
        for (size_t i = 0; r >= 0 && i < devices->n_members; i++) {
                Value *const *members = devices->members[i]->members;

                r = table_add(&table, members[0]->string);
                if (r >= 0)
                        r = table_add(&table, members[1]->string);
                if (r >= 0)
                        r = table_add(&table, members[2]->string);
                if (r >= 0)
                        r = table_add(&table, members[3]->boolean ? "yes" : "no");
        }
        if (r < 0)
                return r;
        if (devices->n_members > 0)
                table_print(&table, client->legend, &text);
        if (client->legend)
                strbuf_printf(&text, "%s%zu device%s listed.\n", devices->n_members > 0 ? "\n" : "",
                              devices->n_members, devices->n_members == 1 ? "" : "s");
        return client_print_text(&text);
}

/** verb_devices() - `vivctl devices`. Return: exit status; negative errno with @reterr set. */
int verb_devices(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(value_freep) Value *devices = NULL;
        int r;

        r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE,
                            "GetAssignableDevices", &call, reterr);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot list the devices", reterr);
        r = client_read(reply, &devices, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < devices->n_members; i++)
                if (!is_device(devices->members[i]))
                        return text_error_set(reterr, -EBADMSG,
                                              "the service's answer cannot be read");
        return client->json != JSON_OFF ? print_json(client, devices)
                                        : print_table(client, devices);
}
