/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Functions of the host that VMs may have: what the administrator lists, held against what there is. */

#include <stddef.h>

#include "base/cleanup.h"
#include "base/text_error.h"

#define HOST_DEVICE_ADDRESS_LEN 12u /* "0000:00:04.0" */

typedef struct HostDevice {
        char address[HOST_DEVICE_ADDRESS_LEN + 1];
        char *listed; /* owned; its path as the administrator wrote it */
        char *path;   /* owned; SYSFS/bus/pci/devices/ADDRESS, by which all know it */
        char *kind;   /* owned; "" unless given */
        char *driver; /* owned; that is bound to it now; "" for none */
} HostDevice;

typedef struct HostDevices {
        HostDevice *items; /* owned array */
        size_t n;
} HostDevices;

int host_devices_load(const char *file, const char *sysfs, HostDevices *ret, TextError *reterr);
const HostDevice *host_devices_find(const HostDevices *devices, const char *path);
void host_devices_deinit(HostDevices *devices);
