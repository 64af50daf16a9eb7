/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A death record, for people. */

#include "dbus/client/table.h"
#include "dbus/client/value.h"

void record_headline(const Value *record, StrBuf *out);
int record_describe(const Value *record, Block *block);
int record_describe_tails(const Value *record, Block *block);
