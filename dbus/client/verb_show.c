/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dbus/client/format.h"
#include "dbus/client/reasons.h"
#include "dbus/client/record.h"
#include "dbus/client/table.h"
#include "dbus/client/verbs.h"

static int add_text(const Value *vm, const char *property, const char *key, Block *block) {
        return block_add(block, key, value_get_string(vm, property));
}

static int add_time(const Value *vm, const char *property, const char *key, Block *block) {
        uint64_t usec = value_get_uint(vm, property, 0);
        char text[FORMAT_MAX];

        return usec > 0 ? block_add(block, key, format_timestamp(text, usec)) : 0;
}

static int describe_identity(const Client *client, const Value *vm, Block *block) {
        uint64_t uid = value_get_uint(vm, "Owner", UINT64_MAX), pid = value_get_uint(vm, "Pid", 0);
        uint64_t vcpus = value_get_uint(vm, "Vcpus", 0);
        char owner[FORMAT_MAX], memory[FORMAT_MAX];
        int r = add_text(vm, "Name", "Name", block);

        if (r >= 0)
                r = add_text(vm, "Id", "Id", block);
        if (r >= 0)
                r = block_addf(block, "CID", "%" PRIu64, value_get_uint(vm, "Cid", 0));
        if (r >= 0)
                r = block_addf(block, "State", "%s, payload %s", value_get_string(vm, "State"),
                               value_get_string(vm, "PayloadState"));
        if (r >= 0 && client->bus_kind == BUS_REMOTE)
                (void) snprintf(owner, sizeof(owner), "%" PRIu64, uid);
        else
                (void) format_uid(owner, uid);
        if (r >= 0)
                r = block_addf(block, "Owner", "%s, process %" PRIu64 "%s", owner,
                               value_get_uint(vm, "OwnerPid", 0),
                               value_get_bool(vm, "Detached") ? ", detached" : "");
        if (r >= 0)
                r = add_text(vm, "Hypervisor", "Hypervisor", block);
        if (r >= 0)
                r = block_addf(block, "Machine", "%" PRIu64 " vCPU%s, %s", vcpus,
                               vcpus == 1 ? "" : "s",
                               format_bytes(memory, value_get_uint(vm, "MemoryBytes", 0)));
        if (r >= 0 && pid > 0)
                r = block_addf(block, "VMM process", "%" PRIu64, pid);
        return r;
}

static int describe_times(const Value *vm, Block *block) {
        int r = add_time(vm, "CreatedTimestamp", "Created", block);

        if (r >= 0)
                r = add_time(vm, "StartTimestamp", "Started", block);
        if (r >= 0)
                r = add_time(vm, "DeathTimestamp", "Ended", block);
        return r;
}

/* Usage of a VM that runs; that of a dead one is in its record. */
static int describe_usage(const Value *vm, Block *block) {
        char now[FORMAT_MAX], peak[FORMAT_MAX];
        int r = block_add(block, "Guest CPU",
                          format_timespan(now, value_get_uint(vm, "GuestCpuUsec", 0)));

        if (r >= 0)
                r = block_addf(block, "Guest memory", "%s, %s at its peak",
                               format_bytes(now, value_get_uint(vm, "RssGuestBytes", 0)),
                               format_bytes(peak, value_get_uint(vm, "RssGuestPeakBytes", 0)));
        if (r >= 0)
                r = block_addf(block, "VMM memory", "%s, %s at its peak",
                               format_bytes(now, value_get_uint(vm, "RssVmmBytes", 0)),
                               format_bytes(peak, value_get_uint(vm, "RssVmmPeakBytes", 0)));
        return r;
}

static int describe_death(const Value *record, Block *block) {
        _cleanup_(strbuf_deinit) StrBuf headline = {0};
        int r;

        record_headline(record, &headline);
        if (headline.failed)
                return -ENOMEM;
        r = block_add(block, "Ended by", headline.data ? headline.data : "");
        if (r >= 0)
                r = record_describe(record, block);
        return r < 0 ? r : record_describe_tails(record, block);
}

static int print_vm(const Client *client, const Value *vm) {
        const Value *record = value_get(vm, "DeathRecord");
        _cleanup_(block_deinit) Block block = {0};
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        int r = describe_identity(client, vm, &block);

        if (r >= 0)
                r = describe_times(vm, &block);
        if (r >= 0 && value_get_uint(vm, "Pid", 0) > 0)
                r = describe_usage(vm, &block);
        if (r >= 0 && record)
                r = describe_death(record, &block);
        if (r < 0)
                return r;
        block_print(&block, &text);
        return client_print_text(&text);
}

static int show_one(Client *client, const char *which, const char *path, TextError *reterr) {
        _cleanup_(value_freep) Value *vm = NULL;
        int r = client_read_vm(client, which, path, &vm, reterr);

        if (r < 0)
                return r;
        return client->json == JSON_OFF ? print_vm(client, vm) : client_print_json(client, vm);
}

static int describe_dead(const Client *client, const Value *death, Block *block) {
        char owner[FORMAT_MAX], memory[FORMAT_MAX];
        uint64_t uid = value_get_uint(death, "owner", UINT64_MAX);
        int r = add_text(death, "name", "Name", block);

        if (r >= 0)
                r = add_text(death, "id", "Id", block);
        if (r >= 0)
                r = block_addf(block, "CID", "%" PRIu64, value_get_uint(death, "cid", 0));
        if (r >= 0)
                r = add_text(death, "state", "State", block);
        if (r >= 0 && client->bus_kind == BUS_REMOTE)
                (void) snprintf(owner, sizeof(owner), "%" PRIu64, uid);
        else
                (void) format_uid(owner, uid);
        if (r >= 0)
                r = block_add(block, "Owner", owner);
        if (r >= 0)
                r = add_text(death, "hypervisor", "Hypervisor", block);
        if (r >= 0)
                r = block_addf(block, "Machine", "%" PRIu64 " vCPU%s, %s",
                               value_get_uint(death, "vcpus", 0),
                               value_get_uint(death, "vcpus", 0) == 1 ? "" : "s",
                               format_bytes(memory, value_get_uint(death, "memory-bytes", 0)));
        if (r >= 0)
                r = add_time(death, "created-usec", "Created", block);
        if (r >= 0)
                r = add_time(death, "started-usec", "Started", block);
        return r < 0 ? r : add_time(death, "died-usec", "Ended", block);
}

static int print_death(const Client *client, const Value *death) {
        _cleanup_(block_deinit) Block block = {0};
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        int r = describe_dead(client, death, &block);

        if (r >= 0)
                r = describe_death(death, &block);
        if (r < 0)
                return r;
        block_print(&block, &text);
        return client_print_text(&text);
}

/* From the history, where what was released is too. */
static int show_last(Client *client, const char *which, TextError *reterr) {
        _cleanup_(value_freep) Value *deaths = NULL;
        int r = client_get_history(client, which, 1, &deaths, reterr);

        if (r < 0)
                return r;
        if (deaths->n_members == 0)
                return text_error_set(reterr, -ENOENT,
                                      "no VM \"%s\" is known to have ended\nSee which ones are "
                                      "with: vivctl history",
                                      which);
        return client->json == JSON_OFF ? print_death(client, deaths->members[0])
                                        : client_print_json(client, deaths->members[0]);
}

/** verb_show() - `vivctl show VM...`; with --json one document a VM. Return: exit status. */
int verb_show(Client *client, const Args *args, TextError *reterr) {
        int status = EXIT_STATUS_OK;

        if (!args_has(args, OPTION_LAST))
                return for_each_vm(client, args, show_one);
        for (size_t i = 0; i < args->n_operands; i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                int r = show_last(client, args->operands[i], &error);

                if (r < 0) {
                        client_print_error(&error, r);
                        status = EXIT_STATUS_ERROR;
                }
        }
        return status;
}
