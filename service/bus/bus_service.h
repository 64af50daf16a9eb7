/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon's face on the bus: its objects, calls and signals. */

#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "service/manager/manager.h"

typedef struct BusService BusService;

int bus_service_new(sd_bus *bus, sd_event *event, Manager *manager, gid_t group, BusService **ret);
int bus_service_check_owners(BusService *service);
BusService *bus_service_free(BusService *service);
DEFINE_CLEANUP(BusService *, bus_service_free)
