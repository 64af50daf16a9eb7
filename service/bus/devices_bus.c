/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/bus_internal.h"
#include "service/bus/errors.h"

static int append_devices(sd_bus_message *reply, const Manager *manager,
                          const HostDevices *devices) {
        int r = sd_bus_message_open_container(reply, 'a', "(sssb)");

        for (size_t i = 0; r >= 0 && i < devices->n; i++) {
                const HostDevice *device = &devices->items[i];

                r = sd_bus_message_append(reply, "(sssb)", device->path, device->kind,
                                          device->driver,
                                          (int) !manager_has_device(manager, device->address));
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/** manager_bus_get_assignable_devices() - GetAssignableDevices() → a(sssb) */
int manager_bus_get_assignable_devices(sd_bus_message *message, void *userdata,
                                       sd_bus_error *error) {
        const BusService *service = userdata;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(host_devices_deinit) HostDevices devices = {0};
        _cleanup_(text_error_deinit) TextError text = {0};
        int r = manager_host_devices(service->manager, &devices, &text);

        if (r != 0)
                return errors_set(error, r, text.message);
        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = append_devices(reply, service->manager, &devices);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
