/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The console or the log of a running VM, looked at until it ends or the user leaves. */

#include "dbus/client/client.h"

typedef enum AttachStream {
        ATTACH_CONSOLE, /* with keys */
        ATTACH_LOG,
} AttachStream;

int attach_open(Client *client, const char *which, const char *path, AttachStream stream,
                int *ret_fd, TextError *reterr);
int attach_session(Client *client, const char *which, const char *path, AttachStream stream,
                   TextError *reterr);
