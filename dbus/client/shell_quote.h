/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Words for a shell that somebody else starts. */

#include "base/str.h"

void shell_quote(StrBuf *out, const char *word);
