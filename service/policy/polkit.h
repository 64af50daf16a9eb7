/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One question to polkit, asked without waiting for the answer. */

#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "service/policy/action.h"

typedef enum Verdict {
        VERDICT_ALLOWED,
        VERDICT_DENIED,
        VERDICT_CHALLENGE, /* allowed after a password, and the caller did not let us ask for one */
        VERDICT_ABSENT,    /* there is no polkit on this bus */
        VERDICT_FAILED,    /* it did not answer, or not sensibly */
} Verdict;

/* A detail of what is asked for, for the administrator's rules and for the words of the password dialog. */
typedef struct PolkitDetail {
        const char *key, *value; /* borrowed */
} PolkitDetail;

typedef struct PolkitQuestion {
        const char *sender; /* unique name of who wants it */
        Action action;
        const PolkitDetail *details; /* borrowed; UTF-8 */
        size_t n_details;
        bool interactive; /* a password may be asked for, which takes a person's time */
} PolkitQuestion;

typedef struct PolkitCheck PolkitCheck;

/* The answer; called once, not from within polkit_check(). May free the check. */
typedef void (*PolkitFn)(void *userdata, Verdict verdict);

int polkit_check(sd_bus *bus, const PolkitQuestion *question, PolkitFn done, void *userdata,
                 PolkitCheck **ret);
PolkitCheck *polkit_check_free(PolkitCheck *check);
DEFINE_CLEANUP(PolkitCheck *, polkit_check_free)

Verdict polkit_read_verdict(sd_bus_message *reply);
