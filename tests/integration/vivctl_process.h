/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* vivctl as a test uses it: started on a bus, watched, and judged by what it said and how it ended. */

#include <sys/types.h>

#include "base/str.h"

typedef struct Vivctl {
        pid_t pid;
        int out, err; /* read ends of its standard output and error */
} Vivctl;

typedef struct VivctlResult {
        int status;      /* exit status; 128 + n for signal n */
        char *out, *err; /* owned */
} VivctlResult;

Vivctl vivctl_start(const char *address, int in, const char *const *arguments);
void vivctl_await(const Vivctl *vivctl, StrBuf *err, const char *text);
VivctlResult vivctl_finish(const Vivctl *vivctl);
VivctlResult vivctl_run(const char *address, const char *const *arguments);
void vivctl_expect(const VivctlResult *result, int status, const char *out, const char *err);
void vivctl_result_deinit(VivctlResult *result);

#define VIVCTL_AT(address, ...) vivctl_run(address, (const char *[]){__VA_ARGS__, NULL})
