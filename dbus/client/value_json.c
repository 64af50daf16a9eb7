/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/value_json.h"

#include <inttypes.h>
#include <math.h>

typedef struct Printer {
        StrBuf *out; /* borrowed */
        bool pretty;
} Printer;

static void print_value(const Printer *printer, const Value *value, unsigned depth);

static void print_string(StrBuf *out, const char *text) {
        strbuf_append(out, "\"");
        for (const char *p = text; *p; p++) {
                unsigned char c = (unsigned char) *p;

                if (c == '"' || c == '\\')
                        strbuf_printf(out, "\\%c", c);
                else if (c == '\n')
                        strbuf_append(out, "\\n");
                else if (c == '\t')
                        strbuf_append(out, "\\t");
                else if (c == '\r')
                        strbuf_append(out, "\\r");
                else if (c < 0x20 || c == 0x7f)
                        strbuf_printf(out, "\\u%04x", c);
                else
                        strbuf_append_bytes(out, p, 1);
        }
        strbuf_append(out, "\"");
}

static void new_line(const Printer *printer, unsigned depth) {
        if (!printer->pretty)
                return;
        strbuf_append(printer->out, "\n");
        for (unsigned i = 0; i < depth; i++)
                strbuf_append(printer->out, "  ");
}

static void print_container(const Printer *printer, const Value *value, unsigned depth) {
        bool object = value->type == VALUE_OBJECT;

        strbuf_append(printer->out, object ? "{" : "[");
        for (size_t i = 0; i < value->n_members; i++) {
                if (i > 0)
                        strbuf_append(printer->out, ",");
                new_line(printer, depth + 1);
                if (object) {
                        print_string(printer->out, value->members[i]->key);
                        strbuf_append(printer->out, printer->pretty ? ": " : ":");
                }
                print_value(printer, value->members[i], depth + 1);
        }
        if (value->n_members > 0)
                new_line(printer, depth);
        strbuf_append(printer->out, object ? "}" : "]");
}

/* The depth is bounded by D-Bus itself, which allows 64 containers in each other. */
static void print_value(const Printer *printer, const Value *value, unsigned depth) {
        switch (value->type) {
        case VALUE_BOOL:
                strbuf_append(printer->out, value->boolean ? "true" : "false");
                break;
        case VALUE_INT:
                strbuf_printf(printer->out, "%" PRIi64, value->integer);
                break;
        case VALUE_UINT:
                strbuf_printf(printer->out, "%" PRIu64, value->number);
                break;
        case VALUE_DOUBLE:
                if (isfinite(value->real))
                        strbuf_printf(printer->out, "%.17g", value->real);
                else
                        strbuf_append(printer->out, "null"); /* JSON has no other word for it */
                break;
        case VALUE_STRING:
                print_string(printer->out, value->string);
                break;
        case VALUE_ARRAY:
        case VALUE_OBJECT:
                print_container(printer, value, depth);
                break;
        }
}

/**
 * value_json() - append the JSON text of @value, without a line end
 * @pretty: one member a line, two spaces deeper each level; else no white space at all
 */
void value_json(const Value *value, bool pretty, StrBuf *out) {
        Printer printer = {.out = out, .pretty = pretty};

        print_value(&printer, value, 0);
}
