/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "dbus/names.h"
#include "service/bus/bus_internal.h"
#include "service/bus/errors.h"

/* Methods of a VM that are answered when its VMM has done something, and the signals of what its guest says. */

static Vm *vm_of(BusService *service, const void *userdata) {
        return manager_find_id(service->manager, ((const VmInfo *) userdata)->id);
}

/** vm_bus_stop() - Stop(t timeout_usec) */
int vm_bus_stop(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        uint64_t timeout_usec;
        PendingCall *call;
        Caller caller;
        int r;

        r = sd_bus_message_read(message, "t", &timeout_usec);
        if (r < 0)
                return r;
        r = caller_identify(&service->callers, message, &caller);
        if (r < 0)
                return r;
        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = vm_stop(vm_of(service, userdata),
                    &(StopRequest){.by = STOP_BY_CLIENT, .uid = caller.uid, .pid = caller.pid},
                    timeout_usec, pending_call_done, call, &text);
        return pending_call_settle(call, r, &text, error);
}

typedef int (*ActFn)(Vm *vm, VmReplyFn done, void *userdata, TextError *reterr);

static int act(sd_bus_message *message, const void *userdata, ActFn fn, VmReplyFn answer,
               sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        PendingCall *call;
        int r;

        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = fn(vm_of(service, userdata), answer, call, &text);
        return pending_call_settle(call, r, &text, error);
}

/** vm_bus_suspend() - Suspend() */
int vm_bus_suspend(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return act(message, userdata, vm_suspend, pending_call_replied, error);
}

/** vm_bus_resume() - Resume() */
int vm_bus_resume(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return act(message, userdata, vm_wake, pending_call_replied, error);
}

/** vm_bus_get_balloon() - GetMemoryBalloon() → t bytes */
int vm_bus_get_balloon(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return act(message, userdata, vm_get_balloon, pending_call_number, error);
}

/** vm_bus_set_balloon() - SetMemoryBalloon(t bytes) */
int vm_bus_set_balloon(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        PendingCall *call;
        uint64_t bytes;
        int r;

        r = sd_bus_message_read(message, "t", &bytes);
        if (r < 0)
                return r;
        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = vm_set_balloon(vm_of(service, userdata), bytes, pending_call_replied, call, &text);
        return pending_call_settle(call, r, &text, error);
}

/** vm_bus_trim_memory() - TrimMemory(s level) → t bytes */
int vm_bus_trim_memory(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        PendingCall *call;
        TrimLevel level;
        const char *name;
        int r;

        r = sd_bus_message_read(message, "s", &name);
        if (r < 0)
                return r;
        if (trim_level_from_string(name, &level) < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                         "trim VM \"%s\": expected level \"critical\", \"low\" or "
                                         "\"moderate\", not \"%s\"",
                                         ((const VmInfo *) userdata)->name, name);
        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = vm_trim(vm_of(service, userdata), level, pending_call_number, call, &text);
        return pending_call_settle(call, r, &text, error);
}

/** vm_bus_dump_memory() - DumpMemory(h file) */
int vm_bus_dump_memory(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        PendingCall *call;
        int file, r;

        r = sd_bus_message_read(message, "h", &file);
        if (r < 0)
                return r;
        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = vm_dump_memory(vm_of(service, userdata), file, pending_call_replied, call, &text);
        return pending_call_settle(call, r, &text, error);
}

/** vm_bus_connect_vsock() - ConnectVsock(u port) → h */
int vm_bus_connect_vsock(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        PendingCall *call;
        uint32_t port;
        int r;

        r = sd_bus_message_read(message, "u", &port);
        if (r < 0)
                return r;
        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = vm_connect_vsock(vm_of(service, userdata), port, pending_call_fd, call, &text);
        return pending_call_settle(call, r, &text, error);
}

static int open_stream(sd_bus_message *message, const void *userdata, VmStreamKind stream,
                       sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        _cleanup_(fd_closep) int fd = -EBADF;
        int r = vm_open_console(vm_of(service, userdata), stream, &fd, &text);

        if (r != 0)
                return errors_set(error, r, text.message);
        return sd_bus_reply_method_return(message, "h", fd);
}

/** vm_bus_open_console() - OpenConsole() → h */
int vm_bus_open_console(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return open_stream(message, userdata, VM_STREAM_CONSOLE, error);
}

/** vm_bus_open_log() - OpenLog() → h */
int vm_bus_open_log(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return open_stream(message, userdata, VM_STREAM_LOG, error);
}

/** vm_bus_open_gdb() - OpenGdb() → h */
int vm_bus_open_gdb(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        _cleanup_(fd_closep) int fd = -EBADF;
        int r = vm_open_gdb(vm_of(service, userdata), &fd, &text);

        if (r != 0)
                return errors_set(error, r, text.message);
        return sd_bus_reply_method_return(message, "h", fd);
}

/** vm_bus_open_ramdump() - OpenRamdump() → h */
int vm_bus_open_ramdump(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        _cleanup_(fd_closep) int fd = -EBADF;
        int r = vm_open_ramdump(vm_of(service, userdata), &fd, &text);

        if (r != 0)
                return errors_set(error, r, text.message);
        return sd_bus_reply_method_return(message, "h", fd);
}

static const char *signal_of(VmPayloadEventKind kind) {
        switch (kind) {
        case VM_PAYLOAD_EVENT_STARTED:
                return "PayloadStarted";
        case VM_PAYLOAD_EVENT_READY:
                return "PayloadReady";
        case VM_PAYLOAD_EVENT_FINISHED:
                return "PayloadFinished";
        case VM_PAYLOAD_EVENT_ERROR:
                return "PayloadError";
        }
        return NULL;
}

/** vm_bus_emit_payload() - the signal of what the guest said. Return: 0 or negative errno. */
int vm_bus_emit_payload(sd_bus *bus, const Vm *vm, const VmPayloadEvent *event) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        VmBusPath path;
        int r;

        r = sd_bus_message_new_signal(bus, &signal, vm_bus_path(vm, &path), VIVARIUM_VM_INTERFACE,
                                      signal_of(event->kind));
        if (r >= 0 && event->kind == VM_PAYLOAD_EVENT_FINISHED)
                r = sd_bus_message_append(signal, "i", (int32_t) event->code);
        if (r >= 0 && event->kind == VM_PAYLOAD_EVENT_ERROR)
                r = sd_bus_message_append(signal, "is", (int32_t) event->code, event->text);
        /* The words of a guest are its owner's. */
        if (r >= 0 && event->kind == VM_PAYLOAD_EVENT_ERROR)
                r = sd_bus_message_set_destination(signal, vm_info(vm)->owner_bus_name);
        if (r >= 0)
                r = sd_bus_send(bus, signal, NULL);
        return r < 0 ? r : 0;
}
