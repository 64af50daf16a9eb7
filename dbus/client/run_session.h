/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The time between a VM's start and its end, as `vivctl run` spends it. */

#include "dbus/client/verbs.h"

int run_session(Client *client, const NewVm *vm, Console *console, TextError *reterr);
