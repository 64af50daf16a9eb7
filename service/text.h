/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Bytes from guests and VMMs made fit for D-Bus strings. */

#include <stddef.h>

int text_sanitize(const char *data, size_t len, char **ret);
