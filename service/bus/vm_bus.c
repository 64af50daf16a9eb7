/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/net_message.h"
#include "config/utf8.h"
#include "dbus/names.h"
#include "service/bus/bus_internal.h"
#include "service/bus/errors.h"
#include "service/bus/record.h"

/*
 * VM objects are served by one fallback vtable rather than one registration each: a VM costs nothing here, and the
 * function that finds it is the one gate where access is decided, for methods, properties and enumerations alike.
 */

/* Of a guest's text in a property; all that is kept of it is in the death record. */
#define FAILURE_PROPERTY_BYTES_MAX 4096u

/**
 * vm_bus_path() - object path of @vm, in @buf
 *
 * As sd_bus_path_encode() would make it, but for a list of a thousand VMs without memory of its own: an id is letters and
 * digits, of which only a digit in the first place is escaped.
 */
const char *vm_bus_path(const Vm *vm, VmBusPath *buf) {
        const char *id = vm_info(vm)->id;
        char *p = stpcpy(buf->text, VIVARIUM_VM_PATH_PREFIX "/");

        if (*id >= '0' && *id <= '9') {
                p = stpcpy(p, "_3");
                *p++ = *id++;
        }
        memcpy(p, id, strlen(id) + 1);
        return buf->text;
}

/** vm_bus_at_path() - the VM whose object is at @path; NULL if there is none */
Vm *vm_bus_at_path(const BusService *service, const char *path) {
        _cleanup_(freep) char *id = NULL;

        if (sd_bus_path_decode(path, VIVARIUM_VM_PATH_PREFIX, &id) <= 0)
                return NULL;
        return manager_find_id(service->manager, id);
}

/* The method call that is being handled, or NULL while the daemon acts by itself. */
static sd_bus_message *current_call(sd_bus *bus) {
        sd_bus_message *message = sd_bus_get_current_message(bus);
        uint8_t type;

        if (!message || sd_bus_message_get_type(message, &type) < 0)
                return NULL;
        return type == SD_BUS_MESSAGE_METHOD_CALL ? message : NULL;
}

/** vm_bus_find() - sd_bus_object_find_t: the VM at @path */
int vm_bus_find(sd_bus *bus, const char *path, const char *interface, void *userdata,
                void **ret_found, sd_bus_error *error) {
        BusService *service = userdata;
        Vm *vm = vm_bus_at_path(service, path);
        sd_bus_message *call = current_call(bus);

        if (!vm && call && strcmp(sd_bus_message_get_path(call), path) == 0 &&
            strcmp(path, VIVARIUM_VM_PATH_PREFIX) != 0)
                return sd_bus_error_setf(error, VIVARIUM_ERROR_NO_SUCH_VM, "no VM at %s", path);
        if (!vm)
                return 0;
        /* A call on the VM itself went through the gate. Else what the caller may not see is not there. */
        if (call && str_eq(sd_bus_message_get_path(call), VIVARIUM_MANAGER_PATH) &&
            sd_bus_message_is_method_call(call, "org.freedesktop.DBus.ObjectManager",
                                          "GetManagedObjects") > 0 &&
            !gate_may_see(service->gate, call, vm_info(vm)->owner_uid))
                return 0;
        *ret_found = bus_unconst(vm_info(vm));
        return 1;
}

static char **free_nodes(char **nodes) {
        for (char **p = nodes; p && *p; p++)
                free(*p);
        free(nodes);
        return NULL;
}

/** vm_bus_enumerate() - sd_bus_node_enumerator_t: paths of the VMs that the caller may see */
int vm_bus_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                     sd_bus_error *error) {
        BusService *service = userdata;
        sd_bus_message *call = current_call(bus);
        const GateSight sight = call ? gate_look(service->gate, call) : (GateSight){0};
        VmBusPath path;
        char **nodes;
        size_t n = 0;

        nodes = calloc(manager_n_vms(service->manager) + 1, sizeof(*nodes));
        if (!nodes)
                return -ENOMEM;
        for (Vm *vm = manager_first_vm(service->manager); vm;
             vm = manager_next_vm(service->manager, vm)) {
                if (call && !gate_sees(&sight, vm_info(vm)->owner_uid))
                        continue;
                nodes[n] = strdup(vm_bus_path(vm, &path));
                if (!nodes[n]) {
                        free_nodes(nodes);
                        return -ENOMEM;
                }
                n++;
        }
        *ret_nodes = nodes;
        return 0;
}

/** bus_current_service() - handlers get what vm_bus_find() found; the service is the userdata of the vtable itself */
BusService *bus_current_service(sd_bus *bus) {
        return sd_bus_slot_get_userdata(sd_bus_get_current_slot(bus));
}

static int method_start(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        const VmInfo *info = userdata;
        _cleanup_(text_error_deinit) TextError text = {0};
        PendingCall *call;
        int r;

        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = manager_start_vm(service->manager, manager_find_id(service->manager, info->id),
                             pending_call_done, call, &text);
        if (r != 0) {
                (void) pending_call_free(call);
                return errors_set(error, r, text.message);
        }
        return 1; /* answered, or going to be */
}

static int method_kill(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        const VmInfo *info = userdata;
        _cleanup_(text_error_deinit) TextError text = {0};
        PendingCall *call;
        Caller caller;
        int r;

        r = caller_identify(&service->callers, message, &caller);
        if (r < 0)
                return r;
        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = vm_kill(manager_find_id(service->manager, info->id),
                    &(StopRequest){.by = STOP_BY_CLIENT, .uid = caller.uid, .pid = caller.pid},
                    pending_call_done, call, &text);
        if (r != 0) {
                (void) pending_call_free(call);
                return errors_set(error, r, text.message);
        }
        return 1;
}

static int method_release(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        const VmInfo *info = userdata;
        _cleanup_(text_error_deinit) TextError text = {0};
        int r;

        r = manager_release_vm(service->manager, manager_find_id(service->manager, info->id),
                               &text);
        if (r != 0)
                return errors_set(error, r, text.message);
        return sd_bus_reply_method_return(message, NULL);
}

static int get_id(sd_bus *bus, const char *path, const char *interface, const char *property,
                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append_basic(reply, 's', userdata);
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const VmState *state = userdata;

        return sd_bus_message_append(reply, "s", vm_state_to_string(*state));
}

static int get_payload_state(sd_bus *bus, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error) {
        const VmPayloadState *payload = userdata;

        return sd_bus_message_append(reply, "s", vm_payload_state_to_string(*payload));
}

static int get_hypervisor(sd_bus *bus, const char *path, const char *interface,
                          const char *property, sd_bus_message *reply, void *userdata,
                          sd_bus_error *error) {
        const VmmHypervisor *hypervisor = userdata;

        return sd_bus_message_append(reply, "s", request_hypervisor_to_string(*hypervisor));
}

static int get_death_reason(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error) {
        const VmInfo *info = userdata;

        return sd_bus_message_append(
                reply, "s",
                vm_state_is_final(info->state) ? death_reason_to_string(info->record.reason) : "");
}

static int get_death_reason_code(sd_bus *bus, const char *path, const char *interface,
                                 const char *property, sd_bus_message *reply, void *userdata,
                                 sd_bus_error *error) {
        const VmInfo *info = userdata;

        return sd_bus_message_append(
                reply, "i", vm_state_is_final(info->state) ? (int32_t) info->record.reason : -1);
}

/* FailureText and FailureInfo. They are part of GetManagedObjects, and a bus cuts off who sends too long a message: a
 * thousand dead VMs must not come to more because their guests wrote all they could. */
static int get_failure(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        char *const *member = userdata;
        const char *text = *member ? *member : "";
        char shown[FAILURE_PROPERTY_BYTES_MAX + 1];
        size_t n = utf8_cut(text, FAILURE_PROPERTY_BYTES_MAX);

        memcpy(shown, text, n);
        shown[n] = '\0';
        return sd_bus_message_append(reply, "s", shown);
}

/* A text of words, which are names of interfaces or addresses of functions. */
static int get_words(sd_bus *bus, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        char *const *member = userdata;
        const char *rest = *member ? *member : "";
        int r = sd_bus_message_open_container(reply, 'a', "s");

        while (r >= 0 && *rest) {
                char name[NET_INTERFACE_MAX + 1];
                size_t n = strcspn(rest, " ");

                (void) snprintf(name, sizeof(name), "%.*s", (int) n, rest);
                r = sd_bus_message_append_basic(reply, 's', name);
                rest += n + strspn(rest + n, " ");
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_death_record(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error) {
        return record_append(reply, userdata);
}

#define FIXED(name, type, getter, member)                                                          \
        SD_BUS_PROPERTY(name, type, getter, offsetof(VmInfo, member), SD_BUS_VTABLE_PROPERTY_CONST)
#define CHANGING(name, type, getter, member)                                                       \
        SD_BUS_PROPERTY(name, type, getter, offsetof(VmInfo, member),                              \
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)

/* Order and content as in dbus/org.vivarium.vm1.Vm.xml; a test compares them. */
const sd_bus_vtable vm_bus_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_start,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_ARGS("t", timeout_usec), SD_BUS_NO_RESULT,
                                vm_bus_stop, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_kill,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_release,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Suspend", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, vm_bus_suspend,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, vm_bus_resume,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetMemoryBalloon", SD_BUS_NO_ARGS, SD_BUS_RESULT("t", bytes),
                                vm_bus_get_balloon, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("TrimMemory", SD_BUS_ARGS("s", level), SD_BUS_RESULT("t", bytes),
                                vm_bus_trim_memory, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetMemoryBalloon", SD_BUS_ARGS("t", bytes), SD_BUS_NO_RESULT,
                                vm_bus_set_balloon, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ConnectVsock", SD_BUS_ARGS("u", port), SD_BUS_RESULT("h", socket),
                                vm_bus_connect_vsock, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenConsole", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", socket),
                                vm_bus_open_console, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenLog", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", socket),
                                vm_bus_open_log, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenGdb", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", socket),
                                vm_bus_open_gdb, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenRamdump", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", file),
                                vm_bus_open_ramdump, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DumpMemory", SD_BUS_ARGS("h", file), SD_BUS_NO_RESULT,
                                vm_bus_dump_memory, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListDisks", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(utbs)", disks),
                                vm_bus_list_disks, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AddDisk", SD_BUS_ARGS("h", file, "a{sv}", options),
                                SD_BUS_RESULT("u", disk), vm_bus_add_disk,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveDisk", SD_BUS_ARGS("u", disk), SD_BUS_NO_RESULT,
                                vm_bus_remove_disk, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ResizeDisk", SD_BUS_ARGS("u", disk, "t", bytes), SD_BUS_NO_RESULT,
                                vm_bus_resize_disk, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OfferOwnership", SD_BUS_ARGS("u", uid), SD_BUS_RESULT("s", token),
                                vm_bus_offer_ownership, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("PayloadStarted", "", 0),
        SD_BUS_SIGNAL("PayloadReady", "", 0),
        SD_BUS_SIGNAL_WITH_ARGS("PayloadFinished", SD_BUS_ARGS("i", exit_code), 0),
        SD_BUS_SIGNAL_WITH_ARGS("PayloadError", SD_BUS_ARGS("i", code, "s", message), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Died", SD_BUS_ARGS("s", reason, "i", code, "a{sv}", record), 0),
        FIXED("Id", "s", get_id, id),
        FIXED("Name", "s", NULL, name),
        FIXED("Cid", "u", NULL, cid),
        CHANGING("State", "s", get_state, state),
        CHANGING("PayloadState", "s", get_payload_state, payload),
        CHANGING("PayloadStatus", "s", NULL, payload_status),
        CHANGING("PayloadExitCode", "i", NULL, payload_exit_code),
        CHANGING("Suspended", "b", NULL, suspended),
        FIXED("Hypervisor", "s", get_hypervisor, hypervisor),
        CHANGING("Owner", "u", NULL, owner_uid),
        CHANGING("OwnerPid", "u", NULL, owner_pid),
        CHANGING("Detached", "b", NULL, detached),
        FIXED("MemoryBytes", "t", NULL, memory_bytes),
        CHANGING("BalloonBytes", "t", NULL, balloon_bytes),
        FIXED("Vcpus", "u", NULL, n_vcpus),
        CHANGING("Pid", "u", NULL, pid),
        FIXED("Unit", "s", NULL, unit),
        CHANGING("NetworkInterfaces", "as", get_words, interfaces),
        FIXED("AssignedDevices", "as", get_words, devices),
        FIXED("CreatedTimestamp", "t", NULL, created_usec),
        FIXED("CreatedTimestampMonotonic", "t", NULL, created_monotonic_usec),
        CHANGING("StartTimestamp", "t", NULL, started_usec),
        CHANGING("StartTimestampMonotonic", "t", NULL, started_monotonic_usec),
        CHANGING("PayloadStartedTimestamp", "t", NULL, payload_started_usec),
        CHANGING("PayloadStartedTimestampMonotonic", "t", NULL, payload_started_monotonic_usec),
        CHANGING("DeathTimestamp", "t", NULL, died_usec),
        CHANGING("DeathTimestampMonotonic", "t", NULL, died_monotonic_usec),
        CHANGING("ExitStatus", "i", NULL, record.exit_status),
        CHANGING("ExitSignal", "i", NULL, record.exit_signal),
        SD_BUS_PROPERTY("DeathReason", "s", get_death_reason, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("DeathReasonCode", "i", get_death_reason_code, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        CHANGING("FailureText", "s", get_failure, record.failure_text),
        CHANGING("FailureInfo", "s", get_failure, record.failure_info),
        CHANGING("GuestCpuUsec", "t", NULL, usage.guest_cpu_usec),
        CHANGING("RssPeakBytes", "t", NULL, usage.rss_peak_bytes),
        CHANGING("RssGuestBytes", "t", NULL, usage.rss_guest_bytes),
        CHANGING("RssGuestPeakBytes", "t", NULL, usage.rss_guest_peak_bytes),
        CHANGING("RssVmmBytes", "t", NULL, usage.rss_vmm_bytes),
        CHANGING("RssVmmPeakBytes", "t", NULL, usage.rss_vmm_peak_bytes),
        SD_BUS_PROPERTY("DeathRecord", "a{sv}", get_death_record, 0,
                        SD_BUS_VTABLE_PROPERTY_EXPLICIT),
        SD_BUS_VTABLE_END,
};

/** vm_bus_emit_died() - the signal of the end of @vm. Return: 0 or negative errno. */
int vm_bus_emit_died(sd_bus *bus, const Vm *vm) {
        const VmInfo *info = vm_info(vm);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        VmBusPath path;
        int r;

        r = sd_bus_message_new_signal(bus, &signal, vm_bus_path(vm, &path), VIVARIUM_VM_INTERFACE,
                                      "Died");
        if (r < 0)
                return r;
        r = sd_bus_message_append(signal, "si", death_reason_to_string(info->record.reason),
                                  (int32_t) info->record.reason);
        if (r < 0)
                return r;
        r = record_append_told(signal, info);
        if (r < 0)
                return r;
        r = sd_bus_send(bus, signal, NULL);
        return r < 0 ? r : 0;
}
