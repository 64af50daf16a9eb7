/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The console of a VM in this terminal. The guest's output comes through a pipe and is written on when whoever reads
 * ours has room, so that a slow reader delays neither signals nor the guest; keys go the other way through a second
 * pipe. With files instead of "-" the guest has them directly and nothing passes through here.
 */

#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/text_error.h"
#include "dbus/client/client.h"
#include "dbus/client/terminal.h"

#define CONSOLE_CHUNK 4096u /* PIPE_BUF: what a pipe that polls writable takes without blocking */

/* What was shown last is remembered, to find it again in what another service shows. */
#define CONSOLE_LAST_BYTES 512u

typedef struct ConsoleEvents {
        void (*escaped)(void *userdata);       /* the user pressed the escape key */
        void (*output_closed)(void *userdata); /* nobody reads our output any more */
        void (*drained)(void *userdata);       /* after console_finish(): everything was written */
        void (*ended)(void *userdata);         /* optional; nothing comes from the guest any more */
        void *userdata;
} ConsoleEvents;

typedef struct Console {
        int guest_out, guest_in, guest_log; /* owned; for the VM, closed once they are passed */
        int from_guest, to_guest;           /* owned; our ends of the pipes */
        int output;                         /* borrowed; standard output or error */
        sd_event_source *from_guest_source, *output_source, *input_source, *room_source,
                *finish_source; /* owned */
        Terminal terminal;
        EscapeKey escape;
        ConsoleEvents events;
        char pending[CONSOLE_CHUNK]; /* read from the guest, not yet written */
        size_t n_pending;
        char last[CONSOLE_LAST_BYTES];
        size_t n_last;
        bool mid_line; /* the last byte written ends no line */
        bool finishing;
} Console;

void console_init(Console *console);
void console_deinit(Console *console);
int console_open_files(Console *console, const Args *args, bool live, bool json, TextError *reterr);
int console_append_options(const Console *console, sd_bus_message *call);
void console_close_guest_ends(Console *console);
int console_attach(Console *console, sd_event *event, const ConsoleEvents *events,
                   TextError *reterr);
int console_finish(Console *console);
int console_resume(Console *console, sd_event *event, int from_guest, int to_guest);
