/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Waiting for a process, with what it used. */

#include <stdint.h>
#include <sys/wait.h>

int wait_process(idtype_t type, id_t id, int options, siginfo_t *ret, uint64_t *ret_peak_bytes);
