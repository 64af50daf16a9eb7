/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Failures of the bus and of the service as sentences that say what to do next. */

#include <systemd/sd-bus.h>

#include "base/text_error.h"
#include "dbus/client/client.h"

int client_connect_error(const Client *client, int r, TextError *reterr);
int client_told_error(const sd_bus_error *error, int r, const char *act, const char *hint,
                      TextError *reterr);
int client_call_error(const Client *client, const sd_bus_error *error, int r, const char *act,
                      TextError *reterr);
