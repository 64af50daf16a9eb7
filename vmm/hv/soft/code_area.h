/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Memory for code that is made at run time: written through one mapping, executed through another, no page is both. */

#include <stddef.h>
#include <stdint.h>

typedef struct CodeArea {
        uint8_t *write, *exec; /* two mappings of the same memory */
        size_t size;
} CodeArea;

int code_area_init(CodeArea *area, const char *name, size_t size);
void code_area_deinit(CodeArea *area);
void code_area_release(CodeArea *area, size_t from, size_t to);
void code_area_serialize(void);
