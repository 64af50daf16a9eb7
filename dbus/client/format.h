/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers with units, for people. All write a terminated text into @buf and return it. */

#include <stdint.h>

#include "base/clock.h"

#define FORMAT_MAX 64u

const char *format_bytes(char buf[FORMAT_MAX], uint64_t bytes);
const char *format_timespan(char buf[FORMAT_MAX], usec_t span);
const char *format_timestamp(char buf[FORMAT_MAX], usec_t realtime);
const char *format_signal(char buf[FORMAT_MAX], int64_t signal);
const char *format_uid(char buf[FORMAT_MAX], uint64_t uid);
