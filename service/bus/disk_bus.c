/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/log.h"
#include "service/bus/bus_internal.h"
#include "service/bus/call_args.h"
#include "service/bus/errors.h"

/* Methods of a VM about the disks that it has while it runs. */

static Vm *vm_of(BusService *service, const void *userdata) {
        return manager_find_id(service->manager, ((const VmInfo *) userdata)->id);
}

static int append_disks(sd_bus_message *reply, const ControlAnswer *answer) {
        int r = sd_bus_message_open_container(reply, 'a', "(utbs)");

        for (size_t i = 0; r >= 0 && i < answer->n_disks; i++) {
                const ControlDisk *disk = &answer->disks[i];

                r = sd_bus_message_append(reply, "(utbs)", disk->number, disk->bytes,
                                          !disk->read_only, disk->id);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* The text of a hostile VMM may be none that a bus takes: that is an error of the call. */
static void on_listed(void *userdata, int r, const ControlAnswer *answer, const char *message) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        PendingCall *call = userdata;

        if (r == 0) {
                r = sd_bus_message_new_method_return(call->message, &reply);
                if (r >= 0)
                        r = append_disks(reply, answer);
                if (r >= 0)
                        r = sd_bus_send(NULL, reply, NULL);
                if (r >= 0 || r == -ENOTCONN) {
                        (void) pending_call_free(call);
                        return;
                }
        }
        pending_call_done(call, r, message);
}

/** vm_bus_list_disks() - ListDisks() → a(utbs) */
int vm_bus_list_disks(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        PendingCall *call;
        int r = pending_call_new(service, message, &call);

        if (r < 0)
                return r;
        r = vm_list_disks(vm_of(service, userdata), on_listed, call, &text);
        return pending_call_settle(call, r, &text, error);
}

static int read_writable(sd_bus_message *message, void *object, TextError *reterr) {
        VmNewDisk *disk = object;
        int writable, r = sd_bus_message_read_basic(message, 'b', &writable);

        if (r < 0)
                return r;
        disk->writable = writable;
        return 0;
}

static int read_serial(sd_bus_message *message, void *object, TextError *reterr) {
        int r = sd_bus_message_read_basic(message, 's', &((VmNewDisk *) object)->serial);

        return r < 0 ? r : 0;
}

/** vm_bus_add_disk() - AddDisk(h file, a{sv} options) → u */
int vm_bus_add_disk(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const CallOption options[] = {
                {"writable", "b", read_writable},
                {"serial", "s", read_serial},
        };
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        VmNewDisk disk = {0};
        PendingCall *call;
        int r;

        r = sd_bus_message_read_basic(message, 'h', &disk.file);
        if (r < 0)
                return r;
        r = call_args_read_dict(message, options, ELEMENTSOF(options), &disk, &text);
        if (r != 0)
                return errors_set(error, r, text.message);
        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = vm_add_disk(vm_of(service, userdata), &disk, pending_call_u32, call, &text);
        return pending_call_settle(call, r, &text, error);
}

/** vm_bus_remove_disk() - RemoveDisk(u disk) */
int vm_bus_remove_disk(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        PendingCall *call;
        uint32_t number;
        int r;

        r = sd_bus_message_read(message, "u", &number);
        if (r < 0)
                return r;
        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = vm_remove_disk(vm_of(service, userdata), number, pending_call_replied, call, &text);
        return pending_call_settle(call, r, &text, error);
}

/** vm_bus_resize_disk() - ResizeDisk(u disk, t bytes) */
int vm_bus_resize_disk(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        _cleanup_(text_error_deinit) TextError text = {0};
        PendingCall *call;
        uint32_t number;
        uint64_t bytes;
        int r;

        r = sd_bus_message_read(message, "ut", &number, &bytes);
        if (r < 0)
                return r;
        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = vm_resize_disk(vm_of(service, userdata), number, bytes, pending_call_replied, call,
                           &text);
        return pending_call_settle(call, r, &text, error);
}
