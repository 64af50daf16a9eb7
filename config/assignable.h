/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The file in which the administrator lists the functions of the host that VMs may have: vivariumd.conf(5). */

#include <stddef.h>

#include "base/text_error.h"

#define ASSIGNABLE_JSON_MAX 65536u
#define ASSIGNABLE_MAX 64u
#define ASSIGNABLE_KIND_MAX 64u

typedef struct Assignable {
        char *path; /* owned; below sysfs, as it was written */
        char *kind; /* owned; what it is, for people; "" unless given */
} Assignable;

typedef struct AssignableList {
        Assignable *items; /* owned array */
        size_t n;
} AssignableList;

int assignable_parse(const char *json, AssignableList *ret, TextError *reterr);
void assignable_list_deinit(AssignableList *list);
