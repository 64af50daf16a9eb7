/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "dbus/client/format.h"
#include "dbus/client/table.h"
#include "dbus/client/verbs.h"

static int add_row(const Client *client, const Value *vm, Table *table) {
        uint64_t uid = value_get_uint(vm, "Owner", UINT64_MAX);
        char owner[FORMAT_MAX];
        int r = table_add(table, value_get_string(vm, "Name"));

        if (r >= 0)
                r = table_addf(table, "%" PRIu64, value_get_uint(vm, "Cid", 0));
        if (r >= 0)
                r = table_add(table, value_get_string(vm, "State"));
        if (r >= 0)
                r = table_add(table, value_get_string(vm, "PayloadState"));
        if (r >= 0)
                r = table_add(table, value_get_string(vm, "Hypervisor"));
        if (r < 0)
                return r;
        /* Users of another host have other names. */
        if (client->bus_kind == BUS_REMOTE)
                return table_addf(table, "%" PRIu64, uid);
        return table_add(table, format_uid(owner, uid));
}

/** verb_list() - `vivctl list`. Return: exit status; negative errno with @reterr set. */
int verb_list(Client *client, const Args *args, TextError *reterr) {
        static const TableColumn columns[] = {{"NAME", false},       {"CID", true},
                                              {"STATE", false},      {"PAYLOAD", false},
                                              {"HYPERVISOR", false}, {"OWNER", false}};
        _cleanup_(value_freep) Value *list = NULL;
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        _cleanup_(table_deinit) Table table;
        int r;

        table_init(&table, columns, ELEMENTSOF(columns));
        r = client_list_vms(client, &list, reterr);
        if (r < 0)
                return r;
        if (client->json != JSON_OFF)
                return client_print_json(client, list);
        for (size_t i = 0; i < list->n_members; i++) {
                r = add_row(client, list->members[i], &table);
                if (r < 0)
                        return r;
        }
        if (list->n_members > 0)
                table_print(&table, client->legend, &text);
        if (client->legend)
                strbuf_printf(&text, "%s%zu VM%s listed.\n", list->n_members > 0 ? "\n" : "",
                              list->n_members, list->n_members == 1 ? "" : "s");
        return client_print_text(&text);
}
