/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a VMM and its guest use, from a constant number of small reads of /proc. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"

/* As long as it is the same, so is the memory of a process. */
typedef struct SampleMark {
        uint64_t faults, resident_pages;
} SampleMark;

typedef struct Usage {
        usec_t guest_cpu_usec;
        uint64_t rss_peak_bytes; /* of both together, by the kernel's account: nothing is missed */
        uint64_t rss_guest_bytes, rss_guest_peak_bytes;
        uint64_t rss_vmm_bytes, rss_vmm_peak_bytes; /* without guest memory */
        SampleMark mark;                            /* when memory was looked at */
        usec_t sampled_usec; /* CLOCK_MONOTONIC of the last reading; 0 if there was none */
} Usage;

int sample_usage(pid_t pid, bool software, Usage *usage);
int sample_guest_cpu(pid_t pid, bool software, Usage *usage);

int sample_parse_stat(const char *text, bool software, long ticks_per_sec,
                      usec_t *ret_guest_cpu_usec);
int sample_parse_mark(const char *text, SampleMark *ret);
int sample_parse_status(const char *text, uint64_t *ret_rss_guest, uint64_t *ret_rss_vmm,
                        uint64_t *ret_peak);
