/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Bridges and the TAP interfaces in them. Nothing is remembered here: what there is, the kernel knows, by the names and
 * aliases that the interfaces have.
 */

#include "base/cleanup.h"
#include "base/text_error.h"
#include "config/net_message.h"
#include "service/netd/settings.h"

#define BRIDGE_PREFIX "viv-"

typedef struct Networks Networks;

typedef struct Tap {
        char interface[NET_INTERFACE_MAX + 1];
        uint32_t ifindex;
        int fds[VM_NETWORK_QUEUES_MAX];
        size_t n_fds;
} Tap;

int networks_new(const Kernel *kernel, const Settings *settings, const char *networkd_dir,
                 Networks **ret);
Networks *networks_free(Networks *networks);
DEFINE_CLEANUP(Networks *, networks_free)

int networks_add_tap(Networks *networks, const NetRequest *request, Tap *ret, TextError *reterr);
int networks_release(Networks *networks, const char *vm_id, TextError *reterr);
int networks_sweep(Networks *networks, unsigned *ret_bridges);
bool networks_take_reload(Networks *networks);
void tap_close(Tap *tap);
