/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>

#include "base/str.h"
#include "service/bus/bus_internal.h"
#include "service/bus/record.h"
#include "service/vm/fields.h"

/* Whether the death of the VM in @info is one that was asked for, and the caller's to know. */
static bool is_wanted(const BusService *service, sd_bus_message *call, const VmInfo *info,
                      const char *name) {
        return gate_may_see(service->gate, call, info->owner_uid) &&
               (!*name || str_eq(info->name, name) || str_eq(info->id, name));
}

static int append_history(BusService *service, sd_bus_message *reply, sd_bus_message *call,
                          const char *name, uint32_t max) {
        uint32_t n = 0;

        for (size_t age = 0; age < manager_history_n(service->manager) && n < max; age++) {
                _cleanup_(fields_deinit) Fields fields = {0};
                VmInfo info = {0};
                int r = manager_history_read(service->manager, age, &fields);

                /* What another version wrote, and this one does not understand, is passed over. */
                if (r == 0)
                        r = vm_info_from_fields(&fields, &info);
                if (r == 0 && is_wanted(service, call, &info, name)) {
                        r = record_append_history(reply, &info);
                        n++;
                }
                vm_info_deinit(&info);
                if (r < 0 && r != -EBADMSG && r != -EPROTONOSUPPORT)
                        return r;
        }
        return 0;
}

/** manager_bus_get_history() - Manager.GetHistory() */
int manager_bus_get_history(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *name;
        uint32_t max;
        int r;

        r = sd_bus_message_read(message, "su", &name, &max);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(message, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        if (r < 0)
                return r;
        r = append_history(service, reply, message, name, max == 0 ? UINT32_MAX : max);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}
