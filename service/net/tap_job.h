/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asking the network service, vivarium-netd, for the interfaces of a VM. */

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "config/net_message.h"
#include "service/net/cards.h"

typedef struct TapJob TapJob;

/**
 * TapsMadeFn - all interfaces are there, or none
 * @r:       0, and the cards have their descriptors; negative errno
 * @message: the sentence for a failure; borrowed
 */
typedef void (*TapsMadeFn)(void *userdata, int r, const char *message);

typedef struct TapSpec {
        const char *vm_id, *vm_name; /* borrowed for the call */
        uint32_t cid;
        const VmNetwork *networks; /* borrowed, outlives the job */
        Cards *cards;              /* borrowed, outlives the job; from cards_prepare() */
} TapSpec;

int tap_job_new(sd_event *event, const char *socket_path, const TapSpec *spec, TapsMadeFn made,
                void *userdata, TapJob **ret);
void tap_job_cancel(TapJob *job);
TapJob *tap_job_free(TapJob *job);
DEFINE_CLEANUP(TapJob *, tap_job_free)

int taps_release(const char *socket_path, const char *vm_id);
