/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "dbus/client/errors.h"
#include "dbus/client/reasons.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

/** new_vm_deinit() - release what it owns; the VM itself stays */
void new_vm_deinit(NewVm *vm) {
        free(vm->path);
        free(vm->name);
        *vm = (NewVm){0};
}

#define BOOT_TIMEOUT_SEC_MAX 86400u

static int append_boot_timeout(const Args *args, sd_bus_message *call, TextError *reterr) {
        const char *text = args_value(args, OPTION_BOOT_TIMEOUT);
        uint32_t sec;

        if (!text)
                return 0;
        if (parse_u32(text, &sec) < 0 || sec > BOOT_TIMEOUT_SEC_MAX)
                return text_error_set(reterr, CLIENT_E_USAGE,
                                      "--boot-timeout: expected 0 to %u seconds, not \"%s\"",
                                      BOOT_TIMEOUT_SEC_MAX, text);
        return sd_bus_message_append(call, "{sv}", "boot-timeout-usec", "t",
                                     (uint64_t) sec * USEC_PER_SEC);
}

static int append_options(const Args *args, const Console *console, bool detach,
                          sd_bus_message *call, TextError *reterr) {
        const char *hypervisor = args_value(args, OPTION_HYPERVISOR);
        int r = sd_bus_message_open_container(call, 'a', "{sv}");

        if (r >= 0 && hypervisor)
                r = sd_bus_message_append(call, "{sv}", "hypervisor", "s", hypervisor);
        if (r >= 0 && detach)
                r = sd_bus_message_append(call, "{sv}", "detach", "b", 1);
        if (r >= 0)
                r = append_boot_timeout(args, call, reterr);
        if (r >= 0)
                r = console_append_options(console, call);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        return r < 0 ? r : 0;
}

/* The name may be the service's choice, and the CID always is. */
static int read_identity(Client *client, NewVm *vm, TextError *reterr) {
        _cleanup_(value_freep) Value *name = NULL, *cid = NULL;
        int r = client_get_property(client, vm->path, "Name", &name, reterr);

        if (r >= 0)
                r = client_get_property(client, vm->path, "Cid", &cid, reterr);
        if (r < 0)
                return r;
        if (name->type != VALUE_STRING || cid->type != VALUE_UINT)
                return text_error_set(reterr, -EBADMSG, "the service's answer has a wrong type");
        vm->name = TAKE(name->string);
        vm->cid = cid->number;
        return 0;
}

/**
 * create_vm() - CreateVm with everything the command line says
 * @detach: the VM outlives this connection
 * @ret:    release with new_vm_deinit(); the object in the service stays
 *
 * Return: 0; EXIT_STATUS_USAGE or negative errno, both with @reterr set.
 */
int create_vm(Client *client, const Args *args, const VmRequest *request, const Console *console,
              bool detach, NewVm *ret, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(new_vm_deinit) NewVm vm = {0};
        const char *path;
        int r;

        r = client_require_fds(client, reterr);
        if (r >= 0)
                r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE,
                                    "CreateVm", &call, reterr);
        if (r < 0)
                return r;
        r = vm_request_append(request, call);
        if (r >= 0)
                r = append_options(args, console, detach, call, reterr);
        if (r == CLIENT_E_USAGE)
                return r;
        if (r >= 0)
                r = client_send(client, call, &reply, &error);
        if (r >= 0)
                r = sd_bus_message_read_basic(reply, 'o', &path);
        if (r < 0)
                return vm_request_call_error(
                        client, request, &error, r,
                        args->n_operands > 0 ? args->operands[0] : "cannot create VM", reterr);
        vm.path = strdup(path);
        if (!vm.path)
                return -ENOMEM;
        r = read_identity(client, &vm, reterr);
        if (r < 0)
                return r;
        *ret = vm;
        vm = (NewVm){0};
        return 0;
}

/** new_vm_print() - what a script needs to go on with the VM: its name, or all with --json. Return: 0 or negative errno. */
int new_vm_print(const Client *client, const NewVm *vm) {
        _cleanup_(value_freep) Value *object = NULL;
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        int r;

        if (client->json == JSON_OFF) {
                strbuf_printf(&text, "%s\n", vm->name);
                return client_print_text(&text);
        }
        r = value_new(VALUE_OBJECT, &object);
        if (r >= 0)
                r = value_add_string(object, "Name", vm->name);
        if (r >= 0)
                r = value_add_uint(object, "Cid", vm->cid);
        if (r >= 0)
                r = value_add_string(object, "Path", vm->path);
        return r < 0 ? r : client_print_json(client, object);
}

/**
 * for_each_vm() - find every VM of the command line and do @fn to it
 *
 * One that fails does not keep the others from being served. Return: EXIT_STATUS_OK; EXIT_STATUS_ERROR when any
 * failed, which was printed then.
 */
int for_each_vm(Client *client, const Args *args, VmPathFn fn) {
        int status = EXIT_STATUS_OK;

        for (size_t i = 0; i < args->n_operands; i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(freep) char *path = NULL;
                int r = client_find_vm(client, args->operands[i], &path, &error);

                if (r >= 0)
                        r = fn(client, args->operands[i], path, &error);
                if (r < 0) {
                        client_print_error(&error, r);
                        status = EXIT_STATUS_ERROR;
                }
        }
        return status;
}

/** call_vm() - a method without arguments. Return: 0; negative errno with "cannot @act VM …" in @reterr. */
int call_vm(Client *client, const char *which, const char *path, const char *method,
            const char *act, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *what = NULL;
        int r;

        if (asprintf(&what, "cannot %s VM \"%s\"", act, which) < 0) {
                what = NULL;
                return -ENOMEM;
        }
        r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, method, &call, reterr);
        if (r < 0)
                return r;
        r = client_send(client, call, NULL, &error);
        return r < 0 ? client_call_error(client, &error, r, what, reterr) : 0;
}
