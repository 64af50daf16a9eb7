/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* /proc/PID/stat: what tells one process from the next one of the same number. */

#include <stdint.h>
#include <sys/types.h>

/* Fields as proc(5) numbers them. */
#define PROC_STAT_MINOR_FAULTS 10u
#define PROC_STAT_MAJOR_FAULTS 12u
#define PROC_STAT_USER_TIME 14u  /* clock ticks, those of guests included */
#define PROC_STAT_START_TIME 22u /* clock ticks since boot */
#define PROC_STAT_RSS 24u        /* pages */
#define PROC_STAT_GUEST_TIME 43u /* clock ticks */

int proc_stat_field(const char *text, unsigned field, uint64_t *ret);
int proc_stat_read(pid_t pid, unsigned field, uint64_t *ret);
