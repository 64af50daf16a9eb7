/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Lines of guests as entries of the systemd journal. */

#include <stdbool.h>

#include "service/journal/socket.h"
#include "service/vm/vm.h"

bool guest_journal_send(JournalSocket *journal, const VmInfo *info, VmStreamKind stream,
                        LineKind kind, const char *line);
