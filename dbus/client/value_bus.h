/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Bus messages to values. */

#include <systemd/sd-bus.h>

#include "dbus/client/value.h"

int value_read(sd_bus_message *message, Value **ret);
