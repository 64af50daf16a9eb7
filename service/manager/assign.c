/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "service/manager/internal.h"

/* Which VM has which function of the host. A VM has its own from its creation to its end. */

/**
 * manager_host_devices() - what VMs may have, by the list as it is now
 * @ret: release with host_devices_deinit()
 *
 * Return: 0; negative errno, with a sentence where the list is wrong.
 */
int manager_host_devices(const Manager *manager, HostDevices *ret, TextError *reterr) {
        *ret = (HostDevices){0};
        if (!manager->config.assignable_path)
                return 0;
        return host_devices_load(manager->config.assignable_path, manager->config.sysfs, ret,
                                 reterr);
}

/* @devices: addresses with spaces between them, or NULL */
static bool has_address(const char *devices, const char *address) {
        const size_t len = strlen(address);

        for (const char *p = devices; p && *p; p += strcspn(p, " "), p += *p == ' ')
                if (strncmp(p, address, len) == 0 && (p[len] == ' ' || p[len] == '\0'))
                        return true;
        return false;
}

/** manager_has_device() - whether a VM has the function at @address */
bool manager_has_device(const Manager *manager, const char *address) {
        const Entry *entry;

        TAILQ_FOREACH(entry, &manager->all, all)
        if (!vm_state_is_final(vm_info(entry->vm)->state) &&
            has_address(vm_info(entry->vm)->devices, address))
                return true;
        return false;
}

/* The function that the config's @index-th device is; its name becomes the one by which all know it. */
static int claim(const Manager *manager, const HostDevices *devices, VmConfig *config, size_t index,
                 TextError *reterr) {
        const HostDevice *device = host_devices_find(devices, config->devices.items[index]);
        char *path;

        if (!device)
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "devices[%zu]: \"%s\" is none that VMs of this host may have",
                                      index, config->devices.items[index]);
        if (manager_has_device(manager, device->address))
                return text_error_set(reterr, SERVICE_E_DEVICE_TAKEN,
                                      "devices[%zu]: a VM has %s already", index, device->address);
        path = strdup(device->path);
        if (!path)
                return -ENOMEM;
        free(config->devices.items[index]);
        config->devices.items[index] = path;
        for (size_t i = 0; i < index; i++)
                if (str_eq(config->devices.items[i], path))
                        return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                              "devices[%zu]: is devices[%zu], too", index, i);
        return 0;
}

/**
 * manager_claim_devices() - hold the devices of a config against the list, and against the VMs that there are
 *
 * Return: 0; SERVICE_E_INVALID_CONFIG; SERVICE_E_DEVICE_TAKEN; SERVICE_E_UNSUPPORTED; negative errno.
 */
int manager_claim_devices(const Manager *manager, VmRequest *request, TextError *reterr) {
        _cleanup_(host_devices_deinit) HostDevices devices = {0};
        int r;

        if (request->config.devices.n == 0)
                return 0;
        if (request->hypervisor == VMM_HYPERVISOR_SOFT)
                return text_error_set(reterr, SERVICE_E_UNSUPPORTED,
                                      "devices: the software processor, which must see each write "
                                      "to guest memory, can have none");
        r = manager_host_devices(manager, &devices, reterr);
        for (size_t i = 0; r == 0 && i < request->config.devices.n; i++)
                r = claim(manager, &devices, &request->config, i, reterr);
        return r;
}
