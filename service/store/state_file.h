/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Fields in a file that is always whole: written beside, synced and renamed into place, and read back only if its
 * checksum agrees. Files are named in a directory that the caller holds open.
 */

#include "service/store/fields.h"

/* Of the form, not of the program: fields come and go without it changing. */
#define STATE_FILE_VERSION 1u
#define STATE_FILE_BYTES_MAX (4u * 1024u * 1024u)

int state_frame(const Fields *fields, StrBuf *out);
int state_unframe(const char *text, size_t len, Fields *ret, size_t *ret_used);
size_t state_next_frame(const char *text, size_t len);

int state_file_save(int dir, const char *name, const StrBuf *content, bool sync);
int state_file_save_fields(int dir, const char *name, const Fields *fields, bool sync);
int state_file_load(int dir, const char *name, Fields *ret);
int state_file_set_aside(int dir, const char *name);
