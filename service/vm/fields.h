/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A VM in fields: for its state file and for the history. Names of fields are never used for anything else later on;
 * one that is missing has the value it would have had in the version that did not know it.
 */

#include <stdio.h>

#include "service/store/fields.h"
#include "service/vm/vm.h"

#define VM_STREAMS 3u
#define VM_FILE_KEY_MAX 32u

/* The client's @i-th file, in the state file and in the descriptor store. */
static inline const char *vm_file_key(char *buf, size_t i) {
        (void) snprintf(buf, VM_FILE_KEY_MAX, "file-%zu", i);
        return buf;
}

/* The file that it is one and the same with, where that is an earlier one. */
static inline const char *vm_same_key(char *buf, size_t i) {
        (void) snprintf(buf, VM_FILE_KEY_MAX, "same-as-%zu", i);
        return buf;
}

void vm_info_to_fields(const VmInfo *info, const StopRequest *stop, size_t text_max,
                       Fields *fields);
int vm_info_from_fields(const Fields *fields, VmInfo *ret);
void vm_info_deinit(VmInfo *info);
int *vm_stream(VmRequest *request, size_t i, const char **ret_name);
