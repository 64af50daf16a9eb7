/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/value_bus.h"

#include <errno.h>
#include <string.h>

static int read_number(sd_bus_message *message, char type, Value **ret) {
        union {
                uint8_t y;
                int b;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
        } raw = {0};
        Value *value;
        int r = sd_bus_message_read_basic(message, type, &raw);

        if (r < 0)
                return r;
        r = value_new(VALUE_UINT, &value);
        if (r < 0)
                return r;
        switch (type) {
        case 'b':
                value->type = VALUE_BOOL;
                value->boolean = raw.b != 0;
                break;
        case 'd':
                value->type = VALUE_DOUBLE;
                value->real = raw.d;
                break;
        case 'n':
        case 'i':
        case 'x':
                value->type = VALUE_INT;
                value->integer = type == 'n' ? raw.n : type == 'i' ? raw.i : raw.x;
                break;
        case 'y':
                value->number = raw.y;
                break;
        case 'q':
                value->number = raw.q;
                break;
        case 'u':
                value->number = raw.u;
                break;
        default:
                value->number = raw.t;
        }
        *ret = value;
        return 0;
}

static int read_text(sd_bus_message *message, char type, Value **ret) {
        const char *text = NULL;
        int r = sd_bus_message_read_basic(message, type, &text);

        return r < 0 ? r : value_new_text(text, strlen(text), ret);
}

/* An array of bytes is text here: consoles and logs are what travels that way. */
static int read_bytes(sd_bus_message *message, Value **ret) {
        const void *bytes = NULL;
        size_t len = 0;
        int r = sd_bus_message_read_array(message, 'y', &bytes, &len);

        return r < 0 ? r : value_new_text(bytes, len, ret);
}

static int read_members(sd_bus_message *message, Value *container) {
        for (;;) {
                Value *member;
                int r = sd_bus_message_at_end(message, /* complete= */ 0);

                if (r != 0)
                        return r < 0 ? r : 0;
                r = value_read(message, &member);
                if (r >= 0)
                        r = value_append_consume(container, NULL, member);
                if (r < 0)
                        return r;
        }
}

/* Entries of a dictionary; keys are strings in every interface of ours. */
static int read_entries(sd_bus_message *message, const char *entry, Value *object) {
        for (;;) {
                const char *key;
                Value *member;
                int r = sd_bus_message_enter_container(message, SD_BUS_TYPE_DICT_ENTRY, entry);

                if (r <= 0)
                        return r;
                r = sd_bus_message_read_basic(message, 's', &key);
                if (r >= 0)
                        r = value_read(message, &member);
                if (r >= 0)
                        r = value_append_consume(object, key, member);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
}

static int read_dictionary(sd_bus_message *message, const char *contents, Value *object) {
        char entry[256];
        size_t n = strlen(contents);

        /* "{sv}" without its braces is what the entry is entered with. */
        if (n < 4 || n - 2 >= sizeof(entry) || contents[1] != 's')
                return -EOPNOTSUPP;
        memcpy(entry, contents + 1, n - 2);
        entry[n - 2] = '\0';
        return read_entries(message, entry, object);
}

static int read_container(sd_bus_message *message, char type, const char *contents, Value **ret) {
        bool dictionary = type == 'a' && contents[0] == '{';
        _cleanup_(value_freep) Value *container = NULL;
        int r;

        r = value_new(dictionary ? VALUE_OBJECT : VALUE_ARRAY, &container);
        if (r >= 0)
                r = sd_bus_message_enter_container(message, type, contents);
        if (r < 0)
                return r;
        r = dictionary ? read_dictionary(message, contents, container)
                       : read_members(message, container);
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = TAKE(container);
        return 0;
}

static int read_variant(sd_bus_message *message, const char *contents, Value **ret) {
        _cleanup_(value_freep) Value *value = NULL;
        int r = sd_bus_message_enter_container(message, 'v', contents);

        if (r >= 0)
                r = value_read(message, &value);
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = TAKE(value);
        return 0;
}

/**
 * value_read() - read the next complete type of @message
 * @ret: owned by the caller. Dictionaries with string keys become objects, structures and other arrays arrays,
 *       arrays of bytes text, variants what is in them
 *
 * Return: 0; -ENXIO at the end of the message; -EOPNOTSUPP for descriptors and other dictionaries; negative errno.
 */
int value_read(sd_bus_message *message, Value **ret) {
        const char *contents;
        char type;
        int r = sd_bus_message_peek_type(message, &type, &contents);

        if (r < 0)
                return r;
        if (r == 0)
                return -ENXIO;
        switch (type) {
        case 's':
        case 'o':
        case 'g':
                return read_text(message, type, ret);
        case 'a':
                if (strcmp(contents, "y") == 0)
                        return read_bytes(message, ret);
                return read_container(message, type, contents, ret);
        case SD_BUS_TYPE_STRUCT:
                return read_container(message, type, contents, ret);
        case 'v':
                return read_variant(message, contents, ret);
        case 'h':
                return -EOPNOTSUPP;
        default:
                return read_number(message, type, ret);
        }
}
