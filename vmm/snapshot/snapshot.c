/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"

#define FIRST_ROOM 4096u
#define LENGTH_BYTES 4u
#define TEXT_MAX 64u

/** snapshot_init_saving() - nothing is saved yet; release with snapshot_deinit() */
void snapshot_init_saving(Snapshot *s) {
        *s = (Snapshot){0};
}

/** snapshot_init_restoring() - from @bytes, borrowed until snapshot_deinit() */
void snapshot_init_restoring(Snapshot *s, const uint8_t *bytes, size_t len) {
        *s = (Snapshot){.restoring = true, .bytes = (uint8_t *) (uintptr_t) bytes, .len = len};
}

/** snapshot_deinit() - release what @s owns */
void snapshot_deinit(Snapshot *s) {
        if (!s->restoring)
                free(s->bytes);
        text_error_deinit(&s->text);
        *s = (Snapshot){0};
}

/** snapshot_refuse() - what there is cannot be saved, or what was read makes no sense; the first reason counts */
void snapshot_refuse(Snapshot *s, const char *format, ...) {
        char sentence[256];
        va_list args;

        if (s->error < 0)
                return;
        va_start(args, format);
        (void) vsnprintf(sentence, sizeof(sentence), format, args);
        va_end(args);
        s->error = s->restoring ? -EBADMSG : -EOPNOTSUPP;
        (void) text_error_set(&s->text, s->error, "%s%s%s", s->section, *s->section ? ": " : "",
                              sentence);
}

/* ---- bytes ---- */

static bool make_room(Snapshot *s, size_t len) {
        size_t room = s->room ?: FIRST_ROOM;
        uint8_t *bytes;

        if (len > SNAPSHOT_STATE_MAX - s->len) {
                snapshot_refuse(s, "the state is longer than %u bytes", SNAPSHOT_STATE_MAX);
                return false;
        }
        while (room < s->len + len)
                room *= 2;
        if (room == s->room)
                return true;
        bytes = realloc(s->bytes, room);
        if (!bytes) {
                snapshot_refuse(s, "no memory for %zu bytes of state", room);
                return false;
        }
        s->bytes = bytes;
        s->room = room;
        return true;
}

static void put(Snapshot *s, const void *bytes, size_t len) {
        if (len == 0 || !make_room(s, len))
                return;
        memcpy(s->bytes + s->len, bytes, len);
        s->len += len;
}

/* Return: whether there were @len bytes, of the section if we are in one. */
static bool take(Snapshot *s, void *bytes, size_t len) {
        const size_t end = *s->section ? s->end : s->len;

        if (!range_within(s->at, len, end)) {
                snapshot_refuse(s, "ends too early");
                return false;
        }
        if (len > 0)
                memcpy(bytes, s->bytes + s->at, len);
        s->at += len;
        return true;
}

/** snapshot_bytes() - @len bytes of no further meaning */
void snapshot_bytes(Snapshot *s, void *bytes, size_t len) {
        if (s->error < 0)
                return;
        if (s->restoring)
                (void) take(s, bytes, len);
        else
                put(s, bytes, len);
}

static void put_uint(Snapshot *s, uint64_t value, unsigned width) {
        uint8_t raw[8];

        for (unsigned i = 0; i < width; i++)
                raw[i] = (uint8_t) (value >> (8 * i));
        put(s, raw, width);
}

static bool take_uint(Snapshot *s, unsigned width, uint64_t *ret) {
        uint8_t raw[8];
        uint64_t value = 0;

        if (!take(s, raw, width))
                return false;
        for (unsigned i = 0; i < width; i++)
                value |= (uint64_t) raw[i] << (8 * i);
        *ret = value;
        return true;
}

/* ---- members ---- */

static uint64_t load(const void *at, unsigned width) {
        uint64_t value = 0;

        memcpy(&value, at, width); /* x86 is little endian, and so is the format */
        return value;
}

static void one(Snapshot *s, const SnapshotField *field, void *at) {
        uint64_t value;

        if (!s->restoring) {
                put_uint(s, load(at, field->width), field->width);
                return;
        }
        if (!take_uint(s, field->width, &value))
                return;
        if (value < field->min || value > field->max)
                snapshot_refuse(s, "%s is %" PRIu64 ", not %" PRIu64 " to %" PRIu64, field->name,
                                value, field->min, field->max);
        else
                memcpy(at, &value, field->width);
}

/**
 * snapshot_fields() - members of *@object
 * @object: a member that is read is stored only if it is in its range
 *
 * Booleans, enumerations and signed numbers are saved by the bits that they have in memory.
 */
void snapshot_fields(Snapshot *s, const SnapshotField *fields, size_t n, void *object) {
        for (size_t i = 0; i < n; i++) {
                const SnapshotField *field = &fields[i];

                assert(field->width == 1 || field->width == 2 || field->width == 4 ||
                       field->width == 8);
                for (size_t k = 0; k < field->count && s->error == 0; k++)
                        one(s, field, (char *) object + field->offset + k * field->width);
        }
}

#define DEFINE_SINGLE(stem, type, most)                                                            \
        void snapshot_##stem(Snapshot *s, type *value) {                                           \
                static const SnapshotField field = {                                               \
                        .name = "a number", .width = sizeof(type), .count = 1, .max = (most)};     \
                snapshot_fields(s, &field, 1, value);                                              \
        }

/** snapshot_u8() and so on - one value that is no member */
DEFINE_SINGLE(u8, uint8_t, UINT64_MAX)
DEFINE_SINGLE(u16, uint16_t, UINT64_MAX)
DEFINE_SINGLE(u32, uint32_t, UINT64_MAX)
DEFINE_SINGLE(u64, uint64_t, UINT64_MAX)
DEFINE_SINGLE(bool, bool, 1)
#undef DEFINE_SINGLE

/**
 * snapshot_expect() - something that must be the same where the state is restored
 * @what: for people, as in "memory in bytes"
 */
void snapshot_expect(Snapshot *s, const char *what, uint64_t here) {
        uint64_t there = here;

        snapshot_u64(s, &there);
        if (s->error == 0 && there != here)
                snapshot_refuse(s, "%s is %" PRIu64 " in the snapshot and %" PRIu64 " here", what,
                                there, here);
}

/** snapshot_expect_text() - the same for a name of at most 63 bytes */
void snapshot_expect_text(Snapshot *s, const char *what, const char *here) {
        char there[TEXT_MAX] = {0}, mine[TEXT_MAX] = {0};

        (void) snprintf(mine, sizeof(mine), "%s", here);
        memcpy(there, mine, sizeof(there));
        snapshot_bytes(s, there, sizeof(there));
        if (!snapshot_restored(s))
                return;
        there[TEXT_MAX - 1] = '\0';
        for (char *c = there; *c; c++)
                if (*c < ' ' || *c > '~')
                        *c = '?';
        if (strcmp(there, mine) != 0)
                snapshot_refuse(s, "%s is %s in the snapshot and %s here", what,
                                *there ? there : "none", *mine ? mine : "none");
}

/* ---- sections ---- */

static bool take_header(Snapshot *s, const char *name, unsigned number) {
        char found[UINT8_MAX + 1] = {0};
        uint64_t name_len, found_number, len;

        if (!take_uint(s, 1, &name_len) || !take(s, found, (size_t) name_len) ||
            !take_uint(s, 4, &found_number) || !take_uint(s, LENGTH_BYTES, &len))
                return false;
        if (name_len != strlen(name) || memcmp(found, name, name_len) != 0 ||
            found_number != number) {
                snapshot_refuse(s, "expected section %s %u", name, number);
                return false;
        }
        if (!range_within(s->at, len, s->len)) {
                snapshot_refuse(s, "section %s %u ends too early", name, number);
                return false;
        }
        s->end = s->at + (size_t) len;
        return true;
}

static void put_header(Snapshot *s, const char *name, unsigned number) {
        put_uint(s, strlen(name), 1);
        put(s, name, strlen(name));
        put_uint(s, number, 4);
        put_uint(s, 0, LENGTH_BYTES); /* filled in by snapshot_leave() */
}

/**
 * snapshot_enter() - what follows belongs to @name, until snapshot_leave(); sections do not nest
 * @name:   at most SNAPSHOT_NAME_MAX bytes
 * @number: tells things of one name apart
 */
void snapshot_enter(Snapshot *s, const char *name, unsigned number) {
        assert(strlen(name) <= SNAPSHOT_NAME_MAX && !*s->section);

        if (s->error < 0)
                return;
        if (s->restoring)
                (void) take_header(s, name, number);
        else
                put_header(s, name, number);
        if (s->error < 0)
                return;
        s->body = s->restoring ? s->at : s->len;
        (void) snprintf(s->section, sizeof(s->section), "%s %u", name, number);
}

/** snapshot_leave() - the section ends here, and when it is read has nothing left */
void snapshot_leave(Snapshot *s) {
        if (s->error == 0 && s->restoring && s->at != s->end)
                snapshot_refuse(s, "has %zu bytes too many", s->end - s->at);
        if (s->error == 0 && !s->restoring) {
                const size_t len = s->len - s->body;

                for (unsigned i = 0; i < LENGTH_BYTES; i++)
                        s->bytes[s->body - LENGTH_BYTES + i] = (uint8_t) (len >> (8 * i));
        }
        *s->section = '\0';
}
