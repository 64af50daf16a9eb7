/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Configuration files in the form that systemd's have: sections in brackets, lines KEY=VALUE, comments behind # or ; at
 * the start of a line. No line continues on the next, and nothing is quoted.
 */

#include <stddef.h>

#include "base/text_error.h"

#define INI_BYTES_MAX (64u * 1024u)

/**
 * IniFn - told of each line that is not a comment
 * @section: without its brackets; "" before the first one
 * @key:     NULL when a section begins
 *
 * Return: 0; negative errno with a sentence in @reterr, which ends the reading.
 */
typedef int (*IniFn)(void *userdata, const char *section, const char *key, const char *value,
                     TextError *reterr);

int ini_parse(const char *text, size_t len, IniFn fn, void *userdata, TextError *reterr);
