/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Signals of the service as events: objects with the member Event and what belongs to it, and as lines for people. */

#include <systemd/sd-bus.h>

#include "base/str.h"
#include "dbus/client/value.h"

int event_read(sd_bus_message *signal, Value **ret);
void event_text(const Value *event, StrBuf *out);
