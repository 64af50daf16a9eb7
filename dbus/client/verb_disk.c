/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fd.h"
#include "dbus/client/errors.h"
#include "dbus/client/format.h"
#include "dbus/client/image_file.h"
#include "dbus/client/reasons.h"
#include "dbus/client/table.h"
#include "dbus/client/verbs.h"
#include "dbus/client/vm_request.h"
#include "dbus/names.h"

/* `vivctl disk`: the disks of a VM while it runs. */

/* An object for each disk of the VM. */
static int list_disks(Client *client, const char *path, Value **ret, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(value_freep) Value *disks = NULL;
        const char *serial;
        uint32_t number;
        uint64_t bytes;
        int writable, r;

        r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "ListDisks", &call, NULL);
        if (r >= 0)
                r = client_send(client, call, &reply, error);
        if (r >= 0)
                r = value_new(VALUE_ARRAY, &disks);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(utbs)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(utbs)", &number, &bytes, &writable,
                                                  &serial)) > 0) {
                _cleanup_(value_freep) Value *disk = NULL, *flag = NULL;

                r = value_new(VALUE_OBJECT, &disk);
                if (r >= 0)
                        r = value_add_uint(disk, "Disk", number);
                if (r >= 0)
                        r = value_add_uint(disk, "Bytes", bytes);
                if (r >= 0)
                        r = value_new(VALUE_BOOL, &flag);
                if (r < 0)
                        return r;
                flag->boolean = writable;
                r = value_append_consume(disk, "Writable", TAKE(flag));
                if (r >= 0)
                        r = value_add_string(disk, "Serial", serial);
                if (r >= 0)
                        r = value_append_consume(disks, NULL, TAKE(disk));
        }
        if (r >= 0)
                *ret = TAKE(disks);
        return r;
}

static int add_row(const Value *disk, Table *table) {
        char size[FORMAT_MAX];
        int r = table_addf(table, "%" PRIu64, value_get_uint(disk, "Disk", 0));

        if (r >= 0)
                r = table_add(table, format_bytes(size, value_get_uint(disk, "Bytes", 0)));
        if (r >= 0)
                r = table_add(table, value_get_bool(disk, "Writable") ? "rw" : "ro");
        return r < 0 ? r : table_add(table, value_get_string(disk, "Serial"));
}

static int run_list(Client *client, const char *path, const Args *args, TextError *reterr) {
        static const TableColumn columns[] = {
                {"DISK", true}, {"SIZE", true}, {"MODE", false}, {"SERIAL", false}};
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(value_freep) Value *disks = NULL;
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        _cleanup_(table_deinit) Table table;
        int r = list_disks(client, path, &disks, &error);

        table_init(&table, columns, ELEMENTSOF(columns));
        if (r < 0)
                return client_call_error(client, &error, r, "cannot list the disks", reterr);
        if (client->json != JSON_OFF)
                return client_print_json(client, disks);
        for (size_t i = 0; i < disks->n_members; i++) {
                r = add_row(disks->members[i], &table);
                if (r < 0)
                        return r;
        }
        if (disks->n_members > 0)
                table_print(&table, client->legend, &text);
        if (client->legend)
                strbuf_printf(&text, "%s%zu disk%s listed.\n", disks->n_members > 0 ? "\n" : "",
                              disks->n_members, disks->n_members == 1 ? "" : "s");
        return client_print_text(&text);
}

static int append_options(sd_bus_message *call, bool writable, const char *serial) {
        int r = sd_bus_message_open_container(call, 'a', "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(call, "{sv}", "writable", "b", (int) writable);
        if (r >= 0 && serial)
                r = sd_bus_message_append(call, "{sv}", "serial", "s", serial);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static int print_added(const Client *client, uint32_t number) {
        _cleanup_(value_freep) Value *object = NULL;
        _cleanup_(strbuf_deinit) StrBuf line = {0};
        int r;

        if (client->json == JSON_OFF) {
                strbuf_printf(&line, "%" PRIu32 "\n", number);
                return client_print_text(&line);
        }
        r = value_new(VALUE_OBJECT, &object);
        if (r >= 0)
                r = value_add_uint(object, "Disk", number);
        return r < 0 ? r : client_print_json(client, object);
}

static int run_add(Client *client, const char *path, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(fd_closep) int file = -EBADF;
        uint32_t number;
        bool writable;
        int r;

        r = client_require_fds(client, reterr);
        if (r >= 0)
                r = vm_request_open_disk(args->operands[2], &file, &writable, reterr);
        if (r >= 0)
                r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "AddDisk", &call, reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "h", file);
        if (r >= 0)
                r = append_options(call, writable, args_value(args, OPTION_SERIAL));
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot add the disk", reterr);
        r = sd_bus_message_read(reply, "u", &number);
        return r < 0 ? r : print_added(client, number);
}

/* A disk by its number, or by its serial number. @ret_disk, borrowed from @disks: NULL if the VMM does not tell its disks. */
static int find_disk(Client *client, const char *path, const char *which, Value **disks,
                     const Value **ret_disk, uint32_t *ret_number, TextError *reterr) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const bool is_number = parse_u32(which, ret_number) == 0;
        int r = list_disks(client, path, disks, &error);

        *ret_disk = NULL;
        if (r < 0 && is_number && sd_bus_error_has_name(&error, VIVARIUM_ERROR_UNSUPPORTED))
                return 0;
        if (r < 0)
                return client_call_error(client, &error, r, "cannot list the disks", reterr);
        for (size_t i = 0; i < (*disks)->n_members; i++) {
                const Value *disk = (*disks)->members[i];
                const uint64_t number = value_get_uint(disk, "Disk", 0);

                if (is_number ? number != *ret_number
                              : !str_eq(value_get_string(disk, "Serial"), which))
                        continue;
                *ret_disk = disk;
                *ret_number = (uint32_t) number;
                return 0;
        }
        return text_error_set(reterr, -ENOENT, "the VM has no disk \"%s\"; see vivctl disk list",
                              which);
}

static int run_remove(Client *client, const char *path, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(value_freep) Value *disks = NULL;
        const Value *disk;
        uint32_t number;
        int r;

        r = find_disk(client, path, args->operands[2], &disks, &disk, &number, reterr);
        if (r >= 0)
                r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "RemoveDisk", &call,
                                    reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "u", number);
        if (r < 0)
                return r;
        r = client_send(client, call, NULL, &error);
        return r < 0 ? client_call_error(client, &error, r, "cannot remove the disk", reterr) : 0;
}

/* What is cut off nobody brings back. */
static int check_shrinking(const Value *disk, uint64_t bytes, const Args *args, TextError *reterr) {
        const uint64_t now = disk ? value_get_uint(disk, "Bytes", 0) : 0;

        if (bytes >= now || args_has(args, OPTION_SHRINK))
                return 0;
        return text_error_set(reterr, -EINVAL,
                              "the disk has %" PRIu64 " bytes, and %" PRIu64 " would cut off its "
                              "end\nSay --shrink if that is meant.",
                              now, bytes);
}

static int run_resize(Client *client, const char *path, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(value_freep) Value *disks = NULL;
        const Value *disk;
        uint32_t number;
        uint64_t bytes;
        int r;

        r = image_parse_size(args->operands[3], &bytes, reterr);
        if (r >= 0)
                r = find_disk(client, path, args->operands[2], &disks, &disk, &number, reterr);
        if (r >= 0)
                r = check_shrinking(disk, bytes, args, reterr);
        if (r >= 0)
                r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "ResizeDisk", &call,
                                    reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "ut", number, bytes);
        if (r < 0)
                return r;
        r = client_send(client, call, NULL, &error);
        return r < 0 ? client_call_error(client, &error, r, "cannot resize the disk", reterr) : 0;
}

/**
 * verb_disk() - `vivctl disk list|add|remove|resize VM ...`
 *
 * Return: exit status; negative errno with @reterr set.
 */
int verb_disk(Client *client, const Args *args, TextError *reterr) {
        static const struct {
                const char *name, *operands;
                size_t n;
                int (*run)(Client *client, const char *path, const Args *args, TextError *reterr);
        } acts[] = {
                {"list", "VM", 2, run_list},
                {"add", "VM FILE[:ro]", 3, run_add},
                {"remove", "VM DISK", 3, run_remove},
                {"resize", "VM DISK SIZE", 4, run_resize},
        };
        _cleanup_(freep) char *path = NULL;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(acts); i++) {
                if (!str_eq(acts[i].name, args->operands[0]))
                        continue;
                if (args->n_operands != acts[i].n) {
                        (void) text_error_set(reterr, -EINVAL, "expected vivctl disk %s %s",
                                              acts[i].name, acts[i].operands);
                        return EXIT_STATUS_USAGE;
                }
                r = client_find_vm(client, args->operands[1], &path, reterr);
                return r < 0 ? r : acts[i].run(client, path, args, reterr);
        }
        (void) text_error_set(reterr, -EINVAL,
                              "disk: expected list, add, remove or resize, not \"%s\"",
                              args->operands[0]);
        return EXIT_STATUS_USAGE;
}
