/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How gdb is started so that it reaches a VM. */

#include "dbus/client/client.h"

int gdb_command(const Client *client, const char *self, const Args *args, StrVec *ret);
