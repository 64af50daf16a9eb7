/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON text of a value. */

#include "base/str.h"
#include "dbus/client/value.h"

void value_json(const Value *value, bool pretty, StrBuf *out);
