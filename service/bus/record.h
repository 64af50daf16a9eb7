/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The death record as a{sv}. */

#include <systemd/sd-bus.h>

#include "service/vm/vm.h"

int record_append_history(sd_bus_message *message, const VmInfo *info);
int record_append(sd_bus_message *message, const VmInfo *info);
int record_append_told(sd_bus_message *message, const VmInfo *info);
