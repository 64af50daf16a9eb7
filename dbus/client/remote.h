/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Verbs that need descriptors, which do not pass through ssh: another vivctl runs them where the service is. */

#include <stdbool.h>

#include "dbus/client/client.h"

int remote_command(const Client *client, const Args *args, bool terminal, StrVec *ret);
int remote_exec(const Client *client, const Args *args, bool terminal, TextError *reterr);
