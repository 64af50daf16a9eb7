/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Text output: tables with aligned columns, and key: value blocks. */

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

#define TABLE_COLUMNS_MAX 8u

typedef struct TableColumn {
        const char *title; /* a literal */
        bool right;        /* numbers are aligned at their last digit */
} TableColumn;

typedef struct Table {
        const TableColumn *columns; /* borrowed */
        size_t n_columns;
        StrVec cells; /* row by row */
} Table;

void table_init(Table *table, const TableColumn *columns, size_t n_columns);
void table_deinit(Table *table);
int table_add(Table *table, const char *text);
int table_addf(Table *table, const char *format, ...) _printf_(2, 3);
size_t table_rows(const Table *table);
void table_print(const Table *table, bool legend, StrBuf *out);

/* Lines of a block: `       Key: value`, the colons below each other. */
typedef struct Block {
        StrVec keys, values;
} Block;

void block_deinit(Block *block);
int block_add(Block *block, const char *key, const char *value);
int block_addf(Block *block, const char *key, const char *format, ...) _printf_(3, 4);
void block_print(const Block *block, StrBuf *out);
