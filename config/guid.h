/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* GUIDs as 16 bytes in the order of their text form. */

#include <stdint.h>

#define GUID_TEXT_SIZE 37u /* with the terminator */

int guid_parse(const char *text, uint8_t ret[static 16]);
void guid_format(const uint8_t guid[static 16], char ret[static GUID_TEXT_SIZE]);
