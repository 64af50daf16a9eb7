/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What verbs that stay have in common: their signals, and a voice beside the guest's. */

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "dbus/client/console.h"

int session_watch_signals(sd_event *event, sd_event_signal_handler_t handler, void *userdata);
int session_watch_reader(sd_event *event, sd_event_io_handler_t handler, void *userdata);
void session_say(Console *console, const char *format, ...) _printf_(2, 3);
