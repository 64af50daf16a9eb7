/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/table.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dbus/client/utf8.h"

/** table_init() - an empty table; @columns must outlive it, at most TABLE_COLUMNS_MAX */
void table_init(Table *table, const TableColumn *columns, size_t n_columns) {
        assert(n_columns > 0 && n_columns <= TABLE_COLUMNS_MAX);

        *table = (Table){.columns = columns, .n_columns = n_columns};
}

/** table_deinit() - release the cells */
void table_deinit(Table *table) {
        strvec_deinit(&table->cells);
}

/* What a cell shows: "-" for nothing, and no control characters. */
static int add_cell(StrVec *cells, const char *text) {
        StrBuf printable = {0};
        char *cell;
        int r;

        utf8_append_printable(&printable, *text ? text : "-");
        r = strbuf_finish(&printable, &cell);
        return r < 0 ? r : strvec_add_consume(cells, cell);
}

static int add_cell_va(StrVec *cells, const char *format, va_list ap) {
        _cleanup_(freep) char *text = NULL;

        if (vasprintf(&text, format, ap) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return add_cell(cells, text);
}

/** table_add() - fill the next cell, left to right, row by row. Return: 0 or -ENOMEM. */
int table_add(Table *table, const char *text) {
        return add_cell(&table->cells, text);
}

/** table_addf() - as table_add(), formatted */
int table_addf(Table *table, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = add_cell_va(&table->cells, format, ap);
        va_end(ap);
        return r;
}

/** table_rows() - complete rows, the title not counted */
size_t table_rows(const Table *table) {
        return table->cells.n / table->n_columns;
}

static const char *cell_at(const Table *table, size_t row, size_t column) {
        return table->cells.items[row * table->n_columns + column];
}

static void pad(StrBuf *out, size_t n) {
        for (size_t i = 0; i < n; i++)
                strbuf_append(out, " ");
}

static void print_cell(const Table *table, size_t column, const char *text, size_t width,
                       StrBuf *out) {
        size_t gap = width - utf8_columns(text);

        if (table->columns[column].right)
                pad(out, gap);
        strbuf_append(out, text);
        if (column + 1 == table->n_columns) {
                strbuf_append(out, "\n");
                return;
        }
        /* No blanks at the end of a line: the last column is only padded on its left. */
        if (!table->columns[column].right)
                pad(out, gap);
        strbuf_append(out, " ");
}

/** table_print() - append the table, with its title line if @legend */
void table_print(const Table *table, bool legend, StrBuf *out) {
        size_t rows = table_rows(table), width[TABLE_COLUMNS_MAX];

        for (size_t c = 0; c < table->n_columns; c++) {
                width[c] = legend ? utf8_columns(table->columns[c].title) : 0;
                for (size_t row = 0; row < rows; row++)
                        width[c] = MAX(width[c], utf8_columns(cell_at(table, row, c)));
        }
        if (legend)
                for (size_t c = 0; c < table->n_columns; c++)
                        print_cell(table, c, table->columns[c].title, width[c], out);
        for (size_t row = 0; row < rows; row++)
                for (size_t c = 0; c < table->n_columns; c++)
                        print_cell(table, c, cell_at(table, row, c), width[c], out);
}

/** block_deinit() - release the lines */
void block_deinit(Block *block) {
        strvec_deinit(&block->keys);
        strvec_deinit(&block->values);
}

/** block_add() - append a line; an empty @key continues the one above. Return: 0 or -ENOMEM. */
int block_add(Block *block, const char *key, const char *value) {
        int r = strvec_add(&block->keys, key);

        return r < 0 ? r : add_cell(&block->values, value);
}

/** block_addf() - as block_add(), formatted */
int block_addf(Block *block, const char *key, const char *format, ...) {
        va_list ap;
        int r = strvec_add(&block->keys, key);

        if (r < 0)
                return r;
        va_start(ap, format);
        r = add_cell_va(&block->values, format, ap);
        va_end(ap);
        return r;
}

/** block_print() - append all lines */
void block_print(const Block *block, StrBuf *out) {
        size_t width = 0;

        for (size_t i = 0; i < block->values.n; i++)
                width = MAX(width, utf8_columns(block->keys.items[i]));
        for (size_t i = 0; i < block->values.n; i++) {
                const char *key = block->keys.items[i];

                pad(out, width - utf8_columns(key));
                strbuf_printf(out, "%s%s %s\n", key, *key ? ":" : " ", block->values.items[i]);
        }
}
