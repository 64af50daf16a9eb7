/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which system calls each role may make: tables that are read by people and made into filters by filter.c. */

#include <stddef.h>
#include <stdint.h>

#include "vmm/jail/jail.h"

/* When a call is allowed, by one of its arguments. */
typedef enum JailMatch {
        JAIL_ALWAYS,
        JAIL_IS,
        JAIL_IS_NOT,
        JAIL_HAS,   /* all bits of the value */
        JAIL_LACKS, /* each bit of the value */
        JAIL_IS_OWN_PID,
        JAIL_FAILS, /* never: it returns the value as its errno, because libraries try it and have another way */
} JailMatch;

typedef struct JailRule {
        const char *name;
        int number;
        JailMatch match;
        unsigned arg;
        uint64_t value;
        const char *value_name;
} JailRule;

typedef struct JailTable {
        const JailRule *rules; /* sorted by name, then by the name of the value */
        size_t n_rules;
} JailTable;

typedef struct JailRuleSet {
        const JailTable *tables;
        size_t n_tables;
} JailRuleSet;

const JailRuleSet *jail_role_rules(JailRole role);
