/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/clock.h"
#include "base/text_error.h"
#include "dbus/client/options.h"

/* The service answers when what was held is released, which takes as long as VMs are given, and a little more. */
#define STOP_ANSWER_SLACK_USEC (30 * USEC_PER_SEC)

int stop_timeout_read(const Args *args, uint64_t *ret_usec, TextError *reterr);
