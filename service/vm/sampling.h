/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* When VMs are sampled: each by a timer of its own while it is young, then all of them by one. */

#include <systemd/sd-event.h>

#include "base/cleanup.h"

typedef struct SampleRound SampleRound;

int sample_round_new(sd_event *event, SampleRound **ret);
SampleRound *sample_round_free(SampleRound *round);
DEFINE_CLEANUP(SampleRound *, sample_round_free)
