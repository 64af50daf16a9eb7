/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A network backend whose wire is a pair of sockets: each frame, header first, is one packet on the test's end. */

#include "vmm/net/net.h"

typedef struct FakeNet {
        NetDev net;
        int fd; /* owned, the backend's end; pair 0 alone carries frames */
        LoopSource *source;
        bool watched, blocked;
        _Atomic unsigned offloads_told; /* of the last set_offloads() */
        _Atomic unsigned pairs_told;
} FakeNet;

FakeNet *fake_net_new(Loop *loop, unsigned n_pairs, int *ret_wire);
