/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/bus_service.h"

#include <systemd/sd-daemon.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "dbus/names.h"
#include "service/bus/bus_internal.h"
#include "service/bus/errors.h"

/**
 * pending_call_new() - keep a method call to answer it later
 *
 * Return: 0 or -ENOMEM.
 */
int pending_call_new(BusService *service, sd_bus_message *message, PendingCall **ret) {
        PendingCall *call = malloc(sizeof(*call));

        if (!call)
                return -ENOMEM;
        *call = (PendingCall){.service = service, .message = sd_bus_message_ref(message)};
        TAILQ_INSERT_TAIL(&service->pending, call, link);
        *ret = call;
        return 0;
}

/** pending_call_free() - forget a call. Return: NULL. */
PendingCall *pending_call_free(PendingCall *call) {
        TAILQ_REMOVE(&call->service->pending, call, link);
        (void) sd_bus_message_unref(call->message);
        free(call);
        return NULL;
}

/** pending_call_done() - VmDoneFn: answer a call without results, and forget it */
void pending_call_done(void *userdata, int r, const char *message) {
        PendingCall *call = userdata;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        if (r == 0)
                r = sd_bus_reply_method_return(call->message, NULL);
        else {
                (void) errors_set(&error, r, message);
                r = sd_bus_reply_method_error(call->message, &error);
        }
        if (r < 0 && r != -ENOTCONN)
                log_warning("answer %s: %s, ignoring", sd_bus_message_get_member(call->message),
                            strerror(-r));
        sd_bus_error_free(&error);
        (void) pending_call_free(call);
}

/**
 * pending_call_settle() - what a handler returns for a call that it began
 * @r: 0 when the call is answered by now or later; else why it will not be, and it is freed
 */
int pending_call_settle(PendingCall *call, int r, const TextError *text, sd_bus_error *error) {
        if (r == 0)
                return 1;
        (void) pending_call_free(call);
        return errors_set(error, r, text->message);
}

static void answer_number(PendingCall *call, const char *type, uint64_t value) {
        int r = *type == 'u' ? sd_bus_reply_method_return(call->message, type, (uint32_t) value)
                             : sd_bus_reply_method_return(call->message, type, value);

        if (r < 0 && r != -ENOTCONN)
                log_warning("answer %s: %s, ignoring", sd_bus_message_get_member(call->message),
                            strerror(-r));
        (void) pending_call_free(call);
}

/** pending_call_number() - VmReplyFn: answer a call whose result is a number, and forget it */
void pending_call_number(void *userdata, int r, uint64_t value, const char *message) {
        if (r != 0)
                pending_call_done(userdata, r, message);
        else
                answer_number(userdata, "t", value);
}

/** pending_call_u32() - likewise for a smaller one */
void pending_call_u32(void *userdata, int r, uint64_t value, const char *message) {
        if (r != 0)
                pending_call_done(userdata, r, message);
        else
                answer_number(userdata, "u", value);
}

/** pending_call_replied() - VmReplyFn: pending_call_done() */
void pending_call_replied(void *userdata, int r, uint64_t value, const char *message) {
        pending_call_done(userdata, r, message);
}

/** pending_call_fd() - VmFdFn: answer a call whose result is a descriptor, and forget it */
void pending_call_fd(void *userdata, int r, int fd, const char *message) {
        PendingCall *call = userdata;

        if (r != 0) {
                pending_call_done(userdata, r, message);
                return;
        }
        r = sd_bus_reply_method_return(call->message, "h", fd);
        if (r < 0 && r != -ENOTCONN)
                log_warning("answer %s: %s, ignoring", sd_bus_message_get_member(call->message),
                            strerror(-r));
        (void) pending_call_free(call);
}

static void notify_status(const BusService *service) {
        (void) sd_notifyf(/* unset_environment= */ 0, "STATUS=%u VMs, %u of them running",
                          manager_n_vms(service->manager), manager_n_active(service->manager));
}

static void warn_signal(int r, const char *signal, const Vm *vm) {
        if (r < 0 && r != -ENOTCONN) /* whose bus is gone ends its VMs, and said so */
                log_line(LOG_LEVEL_WARNING, vm_info(vm)->name, "signal %s: %s, ignoring", signal,
                         strerror(-r));
}

static void on_vm_added(void *userdata, Vm *vm) {
        BusService *service = userdata;
        VmBusPath path;

        warn_signal(sd_bus_emit_object_added(service->bus, vm_bus_path(vm, &path)),
                    "InterfacesAdded", vm);
        warn_signal(manager_bus_emit_vm(service->bus, "VmNew", vm), "VmNew", vm);
        changed_mark_manager(service->changed, MANAGER_CHANGED_COUNT);
        notify_status(service);
}

static void on_vm_removed(void *userdata, Vm *vm) {
        BusService *service = userdata;
        VmBusPath path;

        changed_forget_vm(service->changed, vm);
        warn_signal(sd_bus_emit_interfaces_removed(service->bus, vm_bus_path(vm, &path),
                                                   VIVARIUM_VM_INTERFACE, NULL),
                    "InterfacesRemoved", vm);
        warn_signal(manager_bus_emit_vm(service->bus, "VmRemoved", vm), "VmRemoved", vm);
        changed_mark_manager(service->changed, MANAGER_CHANGED_COUNT);
        notify_status(service);
}

static void on_vm_changed(void *userdata, Vm *vm, unsigned changes) {
        BusService *service = userdata;

        changed_mark_vm(service->changed, vm, changes);
        if (changes & VM_CHANGED_STATE)
                notify_status(service);
}

static void on_vm_payload(void *userdata, Vm *vm, const VmPayloadEvent *event) {
        BusService *service = userdata;

        /* Who hears of it finds the state changed already. */
        changed_mark_vm(service->changed, vm, VM_CHANGED_STATE | VM_CHANGED_PAYLOAD);
        changed_flush_vm(service->changed, vm);
        warn_signal(vm_bus_emit_payload(service->bus, vm, event), "Payload…", vm);
}

/* Return: 0 or negative errno. A bus that is gone ends the daemon, and the next one tells its own. */
static int on_vm_ended(void *userdata, Vm *vm) {
        BusService *service = userdata;
        int r;

        /* Who hears of the death finds the properties changed already. */
        changed_flush_vm(service->changed, vm);
        r = vm_bus_emit_died(service->bus, vm);
        warn_signal(r, "Died", vm);
        return r;
}

static void on_capabilities_known(void *userdata) {
        BusService *service = userdata;
        PendingCall *call = TAILQ_FIRST(&service->pending);

        changed_mark_manager(service->changed, MANAGER_CHANGED_HYPERVISOR);
        while (call) {
                PendingCall *next = TAILQ_NEXT(call, link);

                if (call->for_capabilities)
                        (void) manager_bus_answer_capabilities(call);
                call = next;
        }
}

/* Only unique names own VMs, so the names that change hands are never found. */
static int on_name_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        const char *name, *old_owner, *new_owner;
        int r;

        r = sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner);
        if (r < 0) {
                log_warning("read NameOwnerChanged: %s, ignoring", strerror(-r));
                return 0;
        }
        if (name[0] == ':' && new_owner[0] == '\0') {
                gate_forget_sender(service->gate, name);
                manager_client_vanished(service->manager, name);
        }
        return 0;
}

static int add_objects(BusService *service) {
        sd_bus *bus = service->bus;
        int r;

        r = sd_bus_add_object_manager(bus, NULL, VIVARIUM_MANAGER_PATH);
        if (r < 0)
                return r;
        r = sd_bus_add_object_vtable(bus, NULL, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE,
                                     manager_bus_vtable, service);
        if (r < 0)
                return r;
        r = sd_bus_add_fallback_vtable(bus, NULL, VIVARIUM_VM_PATH_PREFIX, VIVARIUM_VM_INTERFACE,
                                       vm_bus_vtable, vm_bus_find, service);
        if (r < 0)
                return r;
        r = sd_bus_add_node_enumerator(bus, NULL, VIVARIUM_VM_PATH_PREFIX, vm_bus_enumerate,
                                       service);
        if (r < 0)
                return r;
        return sd_bus_add_object_vtable(bus, NULL, VIVARIUM_LOG_CONTROL_PATH,
                                        VIVARIUM_LOG_CONTROL_INTERFACE, log_control_vtable,
                                        service);
}

/* One match for all clients, because a bus limits the number of matches of a connection. It is in place before the
 * first call can arrive, so no client can leave unseen. */
static int watch_clients(BusService *service) {
        return sd_bus_add_match(service->bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',"
                                "path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                                "member='NameOwnerChanged',arg2=''",
                                on_name_owner_changed, service);
}

/**
 * bus_service_new() - put the manager on the bus and take the well-known name
 * @bus:     borrowed; started, and not attached to an event loop yet; its slots die with it
 * @manager: borrowed
 * @group:   whose members may have VMs where there is no polkit; -1: nobody
 *
 * Return: 0; -EEXIST when another process has the name; other negative errno.
 */
int bus_service_new(sd_bus *bus, sd_event *event, Manager *manager, gid_t group, BusService **ret) {
        _cleanup_(bus_service_freep) BusService *service = calloc(1, sizeof(*service));
        int r;

        if (!service)
                return -ENOMEM;
        service->bus = bus;
        service->manager = manager;
        service->uid = geteuid();
        TAILQ_INIT(&service->pending);
        r = changed_new(bus, event, &service->changed);
        if (r < 0)
                return r;
        r = gate_new(service, event, group, &service->gate);
        if (r < 0)
                return r;
        r = history_calls_new(service, &service->history);
        if (r < 0)
                return r;
        r = add_objects(service);
        if (r < 0)
                return r;
        r = watch_clients(service);
        if (r < 0)
                return r;
        manager_set_observer(manager,
                             &(ManagerObserver){.added = on_vm_added,
                                                .removed = on_vm_removed,
                                                .changed = on_vm_changed,
                                                .payload = on_vm_payload,
                                                .ended = on_vm_ended,
                                                .capabilities_known = on_capabilities_known,
                                                .userdata = service});
        r = sd_bus_request_name(bus, VIVARIUM_BUS_NAME, 0);
        if (r < 0)
                return r;
        notify_status(service);
        *ret = TAKE(service);
        return 0;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/**
 * bus_service_check_owners() - end the restored VMs whose creators left while there was no daemon
 *
 * Those that leave from now on are seen. Return: 0 or negative errno.
 */
int bus_service_check_owners(BusService *service) {
        char **names = NULL;
        size_t n = 0;
        int r;

        r = sd_bus_list_names(service->bus, &names, NULL);
        if (r < 0) {
                log_error("list the names on the bus: %s", strerror(-r));
                return r;
        }
        while (names && names[n])
                n++;
        if (n > 0)
                qsort(names, n, sizeof(*names), compare_names);
        manager_check_owners(service->manager, names, n);
        for (size_t i = 0; i < n; i++)
                free(names[i]);
        free(names);
        return 0;
}

/** bus_service_free() - send what is due and let go of the manager; @bus must not be processed again. Return: NULL. */
BusService *bus_service_free(BusService *service) {
        PendingCall *call;

        if (!service)
                return NULL;
        manager_set_observer(service->manager, &(ManagerObserver){0});
        if (service->changed)
                changed_flush(service->changed);
        (void) changed_free(service->changed);
        (void) gate_free(service->gate);
        (void) history_calls_free(service->history);
        while ((call = TAILQ_FIRST(&service->pending)))
                (void) pending_call_free(call);
        free(service);
        return NULL;
}
