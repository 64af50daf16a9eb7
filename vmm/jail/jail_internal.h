/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The steps of jail_enter(), one file each. */

#include <linux/filter.h>

#include "vmm/jail/jail.h"
#include "vmm/jail/rules.h"

/* descriptors.c */
int jail_close_inherited(void);
int jail_confine_directories(void);

/* namespaces.c */
#define JAIL_REFUSED_MAX 128u
int jail_check_root(const char *root, TextError *reterr);
bool jail_leave_namespaces(char refused[static JAIL_REFUSED_MAX]);
int jail_change_root(const char *root);

/* privileges.c */
int jail_drop_privileges(void);

/* filter.c */
typedef struct JailFilter {
        struct sock_fprog program; /* owned */
} JailFilter;

int jail_filter_compile(const JailTable *tables, size_t n_tables, bool log_failures,
                        JailFilter *ret);
int jail_filter_install(const JailFilter *filter);
void jail_filter_deinit(JailFilter *filter);

/* violation.c */
int jail_violation_prepare(void);
int jail_violation_unblock(void);
