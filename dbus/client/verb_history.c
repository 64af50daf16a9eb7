/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "dbus/client/format.h"
#include "dbus/client/table.h"
#include "dbus/client/verbs.h"

static int add_row(const Value *death, Table *table) {
        char ended[FORMAT_MAX], span[FORMAT_MAX];
        int r = table_add(table, format_timestamp(ended, value_get_uint(death, "died-usec", 0)));

        if (r >= 0)
                r = table_add(table, value_get_string(death, "name"));
        if (r >= 0)
                r = table_addf(table, "%" PRIu64, value_get_uint(death, "cid", 0));
        if (r >= 0)
                r = table_add(table,
                              format_timespan(span, value_get_uint(death, "run-time-usec", 0)));
        return r < 0 ? r : table_add(table, value_get_string(death, "reason"));
}

static int print_table(const Client *client, const Value *deaths) {
        static const TableColumn columns[] = {
                {"ENDED", false}, {"NAME", false}, {"CID", true}, {"RAN", true}, {"REASON", false}};
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        _cleanup_(table_deinit) Table table;

        table_init(&table, columns, ELEMENTSOF(columns));
        for (size_t i = 0; i < deaths->n_members; i++) {
                int r = add_row(deaths->members[i], &table);

                if (r < 0)
                        return r;
        }
        if (deaths->n_members > 0)
                table_print(&table, client->legend, &text);
        if (client->legend)
                strbuf_printf(&text, "%s%zu death%s listed.\n", deaths->n_members > 0 ? "\n" : "",
                              deaths->n_members, deaths->n_members == 1 ? "" : "s");
        return client_print_text(&text);
}

/** verb_history() - `vivctl history [VM]`. Return: exit status; negative errno with @reterr set. */
int verb_history(Client *client, const Args *args, TextError *reterr) {
        const char *count = args_value(args, OPTION_MAX);
        _cleanup_(value_freep) Value *deaths = NULL;
        uint32_t max = 0;
        int r;

        if (count && parse_u32(count, &max) < 0)
                return text_error_set(reterr, CLIENT_E_USAGE,
                                      "--max: expected a number, not \"%s\"", count);
        r = client_get_history(client, args->n_operands > 0 ? args->operands[0] : "", max, &deaths,
                               reterr);
        if (r < 0)
                return r;
        return client->json != JSON_OFF ? client_print_json(client, deaths)
                                        : print_table(client, deaths);
}
