/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The systemd journal as the sink of log lines, and the event that has a message id there. */

#include <stdbool.h>

#include "base/log.h"
#include "service/vm.h"

/* systemd/vivarium.catalog explains it. */
#define JOURNAL_MESSAGE_VM_DIED "76c5f04ca91f4b6d851c77331adeb443"

bool journal_is_stderr(void);
void journal_sink(LogLevel level, const char *vm, const char *line);
void journal_death(const VmInfo *info, bool journal);
