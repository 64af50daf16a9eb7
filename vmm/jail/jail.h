/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the VMM gives up once everything is open and before the guest's first instruction: it is taken for granted that a
 * guest will one day take the process over. docs/ARCHITECTURE.md, "The sandbox", says what is left then.
 *
 * A filter belongs to a thread and cannot be taken back, so this is state of the process and no object.
 */

#include <stdbool.h>

#include "base/text_error.h"

/* What a thread does, and so which system calls it may make. */
typedef enum JailRole {
        JAIL_LOOP, /* the event loop: queues, control socket, timers */
        JAIL_VCPU_KVM,
        JAIL_VCPU_SOFT,
        JAIL_DISK, /* a worker of vmm/block */
        JAIL_SWAP, /* the mover of vmm/swap */
} JailRole;
#define JAIL_ROLES (JAIL_SWAP + 1)

typedef struct JailOptions {
        const char *root;  /* borrowed, optional: the empty directory that becomes the root */
        bool log_failures; /* what the filter does not allow is logged by the kernel, and done */
} JailOptions;

int jail_enter(const JailOptions *options, TextError *reterr);
int jail_enter_role(JailRole role);
bool jail_is_closed(void);
