/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "dbus/names.h"
#include "service/bus/bus_internal.h"
#include "service/bus/call_args.h"
#include "service/bus/errors.h"
#include "service/metrics/exporter.h"
#include "service/journal/journal.h"

#define INSTANCE_ID_BYTES 64u

/* Kinds of device that a config can ask for or that every VM has. */
static const char *const devices[] = {"disk",    "network", "console", "log", "vsock",
                                      "balloon", "share",   "pci",     "rng", NULL};

/* bus_identify() - who sent @message. Return: 0; negative errno, which was logged. */
int bus_identify(BusService *service, sd_bus_message *message, Caller *ret) {
        int r = caller_identify(&service->callers, message, ret);

        if (r < 0)
                log_warning("identify %s: %s", sd_bus_message_get_sender(message), strerror(-r));
        return r;
}

/* "s config, a{sh} fds" and what may follow, in the order in which errors are most useful. */
static int read_request(sd_bus_message *message, bool with_options, VmRequest *request,
                        TextError *reterr) {
        const char *json;
        int r;

        r = call_args_read_config(message, &json);
        if (r != 0)
                return r;
        r = call_args_read_files(message, request, reterr);
        if (r != 0)
                return r;
        if (with_options) {
                r = call_args_read_options(message, request, reterr);
                if (r != 0)
                        return r;
        }
        return request_set_config(request, json, reterr);
}

/* Counts and logs the call; @vm is NULL when it was refused with @error. */
static void record_creation(BusService *service, const VmRequest *request, uid_t uid, const Vm *vm,
                            const sd_bus_error *error) {
        CreationEvent creation = {
                .uid = uid,
                .request = request,
                .vm = vm ? vm_info(vm) : NULL,
                .error_name = vm ? NULL : error->name,
                .error_text = vm ? NULL : error->message,
        };

        totals_count_creation(manager_totals(service->manager), vm != NULL);
        journal_creation(&creation, manager_journal(service->manager));
}

/* What the config asks for besides a VM. Return: as gate_require(). */
static int require_rights(BusService *service, sd_bus_message *message, const VmConfig *config,
                          sd_bus_error *error) {
        const unsigned actions = action_set_for_config(config);

        for (unsigned action = 0; actions >> action; action++) {
                int r = 0;

                if (actions & (1u << action))
                        r = gate_require(service->gate, message, (Action) action, error);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Return: 0; 1 if the call is kept for later; negative errno with @error set. */
static int create_vm(BusService *service, sd_bus_message *message, VmRequest *request,
                     const Caller *caller, Vm **ret, sd_bus_error *error) {
        _cleanup_(text_error_deinit) TextError text = {0};
        VmOwner owner = {.uid = caller->uid,
                         .pid = caller->pid,
                         .bus_name = sd_bus_message_get_sender(message)};
        int r;

        r = read_request(message, /* with_options= */ true, request, &text);
        if (r != 0)
                return errors_set(error, r, text.message);
        r = require_rights(service, message, &request->config, error);
        if (r != 0)
                return r;
        r = manager_create_vm(service->manager, request, &owner, ret, &text);
        return r == 0 ? 0 : errors_set(error, r, text.message);
}

static int method_create_vm(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        _cleanup_(request_deinit) VmRequest request;
        VmBusPath path;
        Caller caller;
        Vm *vm = NULL;
        int r;

        request_init(&request);
        r = bus_identify(service, message, &caller);
        if (r < 0)
                return r;
        r = create_vm(service, message, &request, &caller, &vm, error);
        if (r > 0)
                return r;
        record_creation(service, &request, caller.uid, vm, error);
        if (r < 0)
                return r;
        r = sd_bus_reply_method_return(message, "o", vm_bus_path(vm, &path));
        if (r < 0) /* nobody knows of it */
                (void) manager_release_vm(service->manager, vm, NULL);
        return r;
}

/* A text that is UTF-8 already, which sd_bus_message_append() would look through once more, byte by byte. */
static int append_known_text(sd_bus_message *reply, const char *text) {
        const size_t len = strlen(text);
        char *space;
        int r;

        r = sd_bus_message_append_string_space(reply, len, &space);
        if (r >= 0)
                memcpy(space, text, len);
        return r;
}

static int append_listed(sd_bus_message *reply, const Vm *vm) {
        const VmInfo *info = vm_info(vm);
        VmBusPath path;
        int r;

        r = sd_bus_message_open_container(reply, 'r', "susssuo");
        if (r >= 0)
                r = append_known_text(reply, info->name);
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 'u', &info->cid);
        if (r >= 0)
                r = append_known_text(reply, vm_state_to_string(info->state));
        if (r >= 0)
                r = append_known_text(reply, vm_payload_state_to_string(info->payload));
        if (r >= 0)
                r = append_known_text(reply, request_hypervisor_to_string(info->hypervisor));
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 'u', &info->owner_uid);
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 'o', vm_bus_path(vm, &path));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int method_list_vms(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        const GateSight sight = gate_look(service->gate, message);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "(susssuo)");
        if (r < 0)
                return r;
        for (Vm *vm = manager_first_vm(service->manager); vm;
             vm = manager_next_vm(service->manager, vm)) {
                if (!gate_sees(&sight, vm_info(vm)->owner_uid))
                        continue;
                r = append_listed(reply, vm);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

/* Answers with the path of @vm; one that the caller may not see does not exist for it. */
static int reply_vm(BusService *service, sd_bus_message *message, const Vm *vm, const char *what,
                    sd_bus_error *error) {
        VmBusPath path;

        if (!vm || !gate_may_see(service->gate, message, vm_info(vm)->owner_uid))
                return sd_bus_error_setf(error, VIVARIUM_ERROR_NO_SUCH_VM, "no VM with %s", what);
        return sd_bus_reply_method_return(message, "o", vm_bus_path(vm, &path));
}

/* "UID/NAME" is the VM of that owner; a name has no slash. Return: whether @text is such. */
static bool split_owner(const char *text, uid_t *ret_owner, const char **ret_name) {
        const char *slash = strchr(text, '/');
        char digits[16];

        if (!slash || slash == text || (size_t) (slash - text) >= sizeof(digits))
                return false;
        memcpy(digits, text, (size_t) (slash - text));
        digits[slash - text] = '\0';
        *ret_name = slash + 1;
        return parse_u32(digits, ret_owner) == 0;
}

/* The caller's own VM of that name or id goes before those of others that it may see. */
static int find_name(BusService *service, sd_bus_message *message, const char *name, Vm **ret,
                     sd_bus_error *error) {
        const char *rest;
        bool ambiguous = false;
        Caller caller;
        uid_t owner;
        int r;

        r = bus_identify(service, message, &caller);
        if (r < 0)
                return r;
        if (split_owner(name, &owner, &rest))
                *ret = manager_find_name(service->manager, owner, rest);
        else
                *ret = manager_find_name(service->manager, caller.uid, name);
        if (!*ret)
                *ret = manager_find_id(service->manager, name);
        if (!*ret && gate_may_see(service->gate, message, (uid_t) -1))
                *ret = manager_find_foreign_name(service->manager, caller.uid, name, &ambiguous);
        if (ambiguous)
                return sd_bus_error_setf(error, VIVARIUM_ERROR_NO_SUCH_VM,
                                         "several users have a VM named \"%s\"; say which as "
                                         "UID/NAME, or give an id",
                                         name);
        return 0;
}

static int method_get_vm(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        _cleanup_(freep) char *what = NULL;
        const char *name;
        Vm *vm = NULL;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        if (asprintf(&what, "name or id \"%s\"", name) < 0) {
                what = NULL;
                return -ENOMEM;
        }
        r = find_name(service, message, name, &vm, error);
        if (r < 0)
                return r;
        return reply_vm(service, message, vm, what, error);
}

static int method_get_vm_by_cid(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        char what[32];
        uint32_t cid;
        int r;

        r = sd_bus_message_read(message, "u", &cid);
        if (r < 0)
                return r;
        (void) snprintf(what, sizeof(what), "CID %u", cid);
        return reply_vm(service, message, manager_find_cid(service->manager, cid), what, error);
}

static int method_get_vm_by_pid(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        char what[32];
        uint32_t pid;
        int r;

        r = sd_bus_message_read(message, "u", &pid);
        if (r < 0)
                return r;
        (void) snprintf(what, sizeof(what), "process %u", pid);
        return reply_vm(service, message, manager_find_pid(service->manager, pid), what, error);
}

static int method_allocate_instance_id(sd_bus_message *message, void *userdata,
                                       sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        uint8_t id[INSTANCE_ID_BYTES];
        int r;

        /* Up to 256 bytes come whole, and without waiting once the kernel's pool was ever ready. */
        if (getrandom(id, sizeof(id), GRND_NONBLOCK) != (ssize_t) sizeof(id))
                return sd_bus_error_set_errnof(error, EAGAIN,
                                               "allocate an instance id: no random bytes yet");
        r = sd_bus_message_new_method_return(message, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_append_array(reply, 'y', id, sizeof(id));
        if (r < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

static int method_check_config(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        _cleanup_(request_deinit) VmRequest request;
        _cleanup_(text_error_deinit) TextError text = {0};
        _cleanup_(freep) char *json = NULL;
        int r;

        request_init(&request);
        r = read_request(message, /* with_options= */ false, &request, &text);
        if (r != 0)
                return errors_set(error, r, text.message);
        r = vm_config_to_json(&request.config, &json);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(message, "s", json);
}

static int append_hypervisors(sd_bus_message *reply, const Capabilities *caps) {
        static const VmmHypervisor all[] = {VMM_HYPERVISOR_KVM, VMM_HYPERVISOR_SOFT};
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(reply, 's', "hypervisors");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'v', "a{sa{sv}}");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "{sa{sv}}");
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                const HypervisorProbe *probe = capabilities_hypervisor(caps, all[i]);

                r = sd_bus_message_append(reply, "{sa{sv}}", request_hypervisor_to_string(all[i]),
                                          2, "available", "b", (int) probe->available, "reason",
                                          "s", probe->reason);
                if (r < 0)
                        return r;
        }
        for (unsigned i = 0; i < 3; i++) {
                r = sd_bus_message_close_container(reply);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int append_names(sd_bus_message *reply, const char *key, const char *const *list) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(reply, 's', key);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'v', "as");
        if (r < 0)
                return r;
        r = sd_bus_message_append_strv(reply, bus_unconst(list));
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(reply);
}

static uint32_t count_cpus(void) {
        cpu_set_t set;

        return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (uint32_t) CPU_COUNT(&set);
}

static int append_capabilities(sd_bus_message *reply, const Manager *manager) {
        const Capabilities *caps = manager_capabilities(manager);
        const int pressure = manager_pressure_error(manager);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r < 0)
                return r;
        r = append_hypervisors(reply, caps);
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "{sv}", "memory-pressure", "a{sv}", 2, "available", "b",
                                  pressure == 0, "reason", "s",
                                  pressure == 0 ? "the kernel tells of it" : strerror(-pressure));
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "{sv}{sv}", "protected-vms", "a{sv}", 2, "available", "b",
                                  false, "reason", "s",
                                  "no hypervisor of this version hides a VM's memory from the host",
                                  "cpus", "u", count_cpus());
        if (r < 0)
                return r;
        r = append_names(reply, "devices", devices);
        if (r < 0)
                return r;
        r = append_names(reply, "options", call_args_option_names);
        if (r < 0)
                return r;
        r = append_names(reply, "operations", capabilities_operations(caps));
        if (r < 0)
                return r;
        return sd_bus_message_close_container(reply);
}

/** manager_bus_answer_capabilities() - answer a GetCapabilities() or ProbeCapabilities() that waited. Return: as sd_bus_send(). */
int manager_bus_answer_capabilities(PendingCall *call) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call->message, &reply);
        if (r >= 0)
                r = append_capabilities(reply, call->service->manager);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        if (r < 0)
                r = sd_bus_reply_method_errno(call->message, r, NULL);
        (void) pending_call_free(call);
        return r;
}

static int method_get_capabilities(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        PendingCall *call;
        int r;

        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        if (!capabilities_known(manager_capabilities(service->manager))) {
                call->for_capabilities = true;
                return 1;
        }
        return manager_bus_answer_capabilities(call);
}

static int method_probe_capabilities(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        PendingCall *call;
        int r;

        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        call->for_capabilities = true;
        manager_probe_again(service->manager); /* answers, if only later */
        return 1;
}

/* Of whose VMs an exporter may tell: @userdata is the reader's GateSight. */
static bool reader_may_see(void *userdata, const VmInfo *vm) {
        return gate_sees(userdata, vm->owner_uid);
}

static int method_get_metrics(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        _cleanup_(freep) char *text = NULL;
        GateSight sight;
        ExpositionFormat format;
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        if (str_eq(name, "openmetrics"))
                format = EXPOSITION_OPENMETRICS;
        else if (str_eq(name, "prometheus"))
                format = EXPOSITION_PROMETHEUS;
        else
                return sd_bus_error_setf(error, VIVARIUM_ERROR_UNSUPPORTED,
                                         "read metrics: format \"%s\" is unknown, expected "
                                         "\"prometheus\" or \"openmetrics\"",
                                         name);
        sight = gate_look(service->gate, message);
        r = exporter_write(service->manager, format, reader_may_see, &sight, &text);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(message, "s", text);
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", VIVARIUM_VERSION);
}

static int get_platform_version(sd_bus *bus, const char *path, const char *interface,
                                const char *property, sd_bus_message *reply, void *userdata,
                                sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", VM_PLATFORM_VERSION);
}

static int get_vm_count(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const BusService *service = userdata;

        return sd_bus_message_append(reply, "u", manager_n_vms(service->manager));
}

static int get_default_hypervisor(sd_bus *bus, const char *path, const char *interface,
                                  const char *property, sd_bus_message *reply, void *userdata,
                                  sd_bus_error *error) {
        const BusService *service = userdata;

        return sd_bus_message_append(
                reply, "s",
                capabilities_default_hypervisor(manager_capabilities(service->manager)));
}

/* Order and content as in dbus/org.vivarium.vm1.Manager.xml; a test compares them. */
const sd_bus_vtable manager_bus_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS(
                "CreateVm", SD_BUS_ARGS("s", config, "a{sh}", fds, "a{sv}", options),
                SD_BUS_RESULT("o", vm), method_create_vm, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListVms", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(susssuo)", vms),
                                method_list_vms, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetVm", SD_BUS_ARGS("s", name), SD_BUS_RESULT("o", vm),
                                method_get_vm, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetVmByCid", SD_BUS_ARGS("u", cid), SD_BUS_RESULT("o", vm),
                                method_get_vm_by_cid, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetVmByPid", SD_BUS_ARGS("u", pid), SD_BUS_RESULT("o", vm),
                                method_get_vm_by_pid, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AllocateInstanceId", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("ay", instance_id), method_allocate_instance_id,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("TakeOwnership", SD_BUS_ARGS("s", token, "b", detach),
                                SD_BUS_RESULT("o", vm), manager_bus_take_ownership,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CheckConfig", SD_BUS_ARGS("s", config, "a{sh}", fds),
                                SD_BUS_RESULT("s", normalised), method_check_config,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetCapabilities", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a{sv}", capabilities), method_get_capabilities,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ProbeCapabilities", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a{sv}", capabilities), method_probe_capabilities,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetAssignableDevices", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a(sssb)", devices),
                                manager_bus_get_assignable_devices, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetMetrics", SD_BUS_ARGS("s", format), SD_BUS_RESULT("s", text),
                                method_get_metrics, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetUsage", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(osuttttttt)", usage),
                                manager_bus_get_usage, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetHistory", SD_BUS_ARGS("s", name, "u", max),
                                SD_BUS_RESULT("aa{sv}", records), manager_bus_get_history,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Drain", SD_BUS_ARGS("t", timeout_usec), SD_BUS_NO_RESULT,
                                manager_bus_drain, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CancelDrain", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
                                manager_bus_cancel_drain, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("VmNew", SD_BUS_ARGS("o", vm, "s", name), 0),
        SD_BUS_SIGNAL_WITH_ARGS("VmRemoved", SD_BUS_ARGS("o", vm, "s", name), 0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("PlatformVersion", "s", get_platform_version, 0,
                        SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("VmCount", "u", get_vm_count, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("DefaultHypervisor", "s", get_default_hypervisor, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Draining", "b", manager_bus_get_draining, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

/** manager_bus_emit_vm() - signal "VmNew" or "VmRemoved". Return: 0 or negative errno. */
int manager_bus_emit_vm(sd_bus *bus, const char *signal, const Vm *vm) {
        VmBusPath path;
        int r;

        r = sd_bus_emit_signal(bus, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE, signal, "os",
                               vm_bus_path(vm, &path), vm_info(vm)->name);
        return r < 0 ? r : 0;
}
