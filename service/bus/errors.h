/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Conditions of the service as D-Bus errors. */

#include <systemd/sd-bus.h>

#include "base/text_error.h"

const char *errors_name(int condition);
int errors_set(sd_bus_error *error, int r, const char *message);
