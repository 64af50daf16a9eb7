/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "dbus/client/errors.h"
#include "dbus/client/table.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

/* "available" or "not available", with what the service says about it. */
static int add_feature(Block *block, const char *key, const Value *feature) {
        const char *reason = value_get_string(feature, "reason");

        return block_addf(block, key, "%s%s%s",
                          value_get_bool(feature, "available") ? "available" : "not available",
                          *reason ? ": " : "", reason);
}

static int add_list(Block *block, const char *key, const Value *list) {
        _cleanup_(strbuf_deinit) StrBuf text = {0};

        for (size_t i = 0; list->type == VALUE_ARRAY && i < list->n_members; i++)
                if (list->members[i]->type == VALUE_STRING)
                        strbuf_printf(&text, "%s%s", i > 0 ? ", " : "", list->members[i]->string);
        if (text.failed)
                return -ENOMEM;
        return block_add(block, key, text.data ? text.data : "");
}

static int describe(const Value *capabilities, Block *block) {
        const Value *hypervisors = value_get(capabilities, "hypervisors");
        const Value *protected = value_get(capabilities, "protected-vms");
        const Value *pressure = value_get(capabilities, "memory-pressure");
        const Value *devices = value_get(capabilities, "devices");
        const Value *operations = value_get(capabilities, "operations");
        int r = 0;

        for (size_t i = 0; r >= 0 && hypervisors && i < hypervisors->n_members; i++) {
                _cleanup_(strbuf_deinit) StrBuf key = {0};

                strbuf_printf(&key, "Hypervisor %s", hypervisors->members[i]->key);
                if (key.failed)
                        return -ENOMEM;
                r = add_feature(block, key.data, hypervisors->members[i]);
        }
        if (r >= 0 && protected)
                r = add_feature(block, "Protected VMs", protected);
        if (r >= 0 && pressure)
                r = add_feature(block, "Memory pressure", pressure);
        if (r >= 0)
                r = block_addf(block, "CPUs", "%" PRIu64, value_get_uint(capabilities, "cpus", 0));
        if (r >= 0 && devices)
                r = add_list(block, "Devices", devices);
        if (r >= 0 && operations)
                r = add_list(block, "Operations", operations);
        return r;
}

/** verb_capabilities() - `vivctl capabilities`. Return: exit status; negative errno with @reterr set. */
int verb_capabilities(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(value_freep) Value *capabilities = NULL;
        _cleanup_(block_deinit) Block block = {0};
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        int r;

        r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE,
                            args_has(args, OPTION_PROBE) ? "ProbeCapabilities" : "GetCapabilities",
                            &call, reterr);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot read the capabilities", reterr);
        r = client_read(reply, &capabilities, reterr);
        if (r < 0)
                return r;
        if (client->json != JSON_OFF)
                return client_print_json(client, capabilities);
        r = describe(capabilities, &block);
        if (r < 0)
                return r;
        block_print(&block, &text);
        return client_print_text(&text);
}
