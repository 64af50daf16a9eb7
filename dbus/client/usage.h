/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What running VMs use, from one look to the next. */

#include "dbus/client/client.h"
#include "dbus/client/value.h"

typedef enum UsageOrder {
        USAGE_BY_CPU,
        USAGE_BY_MEMORY,
        USAGE_BY_NAME,
} UsageOrder;

typedef struct UsageRow {
        const char *path, *name; /* borrowed from the look */
        uint64_t vcpus, memory_bytes, cpu_usec, guest_bytes, vmm_bytes, balloon_bytes;
        uint64_t started_usec, sampled_usec;
        double cpu_percent; /* of one CPU; below 0 until it is known */
} UsageRow;

/* One look; zero-initialised is an empty one. */
typedef struct UsageLook {
        Value *answer;  /* owned */
        UsageRow *rows; /* owned array */
        size_t n;
} UsageLook;

int usage_look(Client *client, UsageLook *ret, TextError *reterr);
int usage_read(Value *answer, UsageLook *ret);
void usage_compare(UsageLook *look, const UsageLook *before);
void usage_sort(UsageLook *look, UsageOrder order);
void usage_deinit(UsageLook *look);

int usage_order_from_string(const char *text, UsageOrder *ret);
int usage_json(const UsageLook *look, Value **ret);
