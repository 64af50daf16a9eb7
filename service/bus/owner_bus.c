/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/bus_internal.h"
#include "service/bus/errors.h"

/** vm_bus_offer_ownership() - Vm.OfferOwnership() */
int vm_bus_offer_ownership(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = bus_current_service(sd_bus_message_get_bus(message));
        const VmInfo *info = userdata;
        _cleanup_(text_error_deinit) TextError text = {0};
        const char *token;
        uint32_t to;
        int r;

        r = sd_bus_message_read(message, "u", &to);
        if (r < 0)
                return r;
        r = vm_offer(manager_find_id(service->manager, info->id), to, &token, &text);
        if (r != 0)
                return errors_set(error, r, text.message);
        return sd_bus_reply_method_return(message, "s", token);
}

/** manager_bus_take_ownership() - Manager.TakeOwnership() */
int manager_bus_take_ownership(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        _cleanup_(text_error_deinit) TextError text = {0};
        const char *token;
        VmBusPath path;
        Caller caller;
        Vm *vm = NULL;
        int detach, r;

        r = sd_bus_message_read(message, "sb", &token, &detach);
        if (r < 0)
                return r;
        r = bus_identify(service, message, &caller);
        if (r < 0)
                return r;
        r = manager_take_vm(service->manager, token,
                            &(VmOwner){.uid = caller.uid,
                                       .pid = caller.pid,
                                       .bus_name = sd_bus_message_get_sender(message)},
                            detach, &vm, &text);
        if (r != 0)
                return errors_set(error, r, text.message);
        return sd_bus_reply_method_return(message, "o", vm_bus_path(vm, &path));
}
