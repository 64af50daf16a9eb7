/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * In whose words a VMM's command line is written. A host may have a crosvm in the place of our VMM, and crosvm renames
 * its options now and then; what was checked against its sources is said at each value.
 */

#include "base/text_error.h"

typedef enum VmmDialect {
        VMM_DIALECT_VIVARIUM, /* ours: crosvm's of today, and our additions */
        VMM_DIALECT_CROSVM, /* from April 2025, when --vhost-user took the place of --vhost-user-fs */
        VMM_DIALECT_CROSVM_2023, /* from 2023 until then: --cid, --vhost-user-fs, not yet --name */
} VmmDialect;

#define VMM_DIALECTS 3u

/* "vivarium", "crosvm", "crosvm-2023" */
extern const char *const vmm_dialect_names[VMM_DIALECTS];

int vmm_dialect_from_string(const char *name, VmmDialect *ret, TextError *reterr);
VmmDialect vmm_dialect_of_program(const char *path);
