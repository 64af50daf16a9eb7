/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The state of a machine as a series of bytes. Each thing that has a state has one function that describes it with the
 * calls below, and the same function saves and restores: what is written and what is read cannot drift apart.
 *
 *   section:  length of the name (1 byte), name, number (4 bytes), length of what follows (4 bytes), members
 *   members:  one behind the other without gaps, little endian, of the width that the description says
 *
 * What is read is hostile. The first mistake is kept as a sentence that names the place; from then on calls do nothing,
 * so that a description needs to look at the outcome only before it acts on what it has read, with snapshot_restored().
 * Members that were read may have been stored already by then: who fails to restore a thing throws it away.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/text_error.h"

/* Changes with every change of any description, and of the file (file.h): there is no reading of other versions. */
#define SNAPSHOT_VERSION 3u

#define SNAPSHOT_STATE_MAX (UINT32_C(16) << 20) /* bytes */
#define SNAPSHOT_NAME_MAX 32u                   /* of a section */

typedef struct Snapshot {
        bool restoring;
        uint8_t *bytes; /* owned when saving, borrowed when restoring */
        size_t len, room;
        size_t at;                            /* restoring: of the next byte */
        size_t body, end;                     /* of the section: saving has no end */
        char section[SNAPSHOT_NAME_MAX + 16]; /* for people; empty between sections */
        int error;                            /* negative errno of the first mistake */
        TextError text;                       /* and the sentence */
} Snapshot;

/* One member, or an array of equal ones. */
typedef struct SnapshotField {
        const char *name;
        size_t offset;
        unsigned width; /* bytes of an element: 1, 2, 4 or 8 */
        size_t count;
        uint64_t min, max;
} SnapshotField;

#define SNAPSHOT_RANGE(type, member, least, most)                                                  \
        {                                                                                          \
                .name = #member, .offset = offsetof(type, member),                                 \
                .width = sizeof(((type *) 0)->member), .count = 1, .min = (least), .max = (most)   \
        }
#define SNAPSHOT_UINT(type, member) SNAPSHOT_RANGE(type, member, 0, UINT64_MAX)
#define SNAPSHOT_BOOL(type, member) SNAPSHOT_RANGE(type, member, 0, 1)
#define SNAPSHOT_ARRAY(type, member)                                                               \
        {                                                                                          \
                .name = #member, .offset = offsetof(type, member),                                 \
                .width = sizeof(((type *) 0)->member[0]),                                          \
                .count = ELEMENTSOF(((type *) 0)->member), .min = 0, .max = UINT64_MAX             \
        }

/* All of @table, an array of SnapshotField, of *@object. */
#define snapshot_members(s, table, object) snapshot_fields(s, table, ELEMENTSOF(table), object)

void snapshot_init_saving(Snapshot *s);
void snapshot_init_restoring(Snapshot *s, const uint8_t *bytes, size_t len);
void snapshot_deinit(Snapshot *s);

void snapshot_enter(Snapshot *s, const char *name, unsigned number);
void snapshot_leave(Snapshot *s);
void snapshot_fields(Snapshot *s, const SnapshotField *fields, size_t n, void *object);
void snapshot_bytes(Snapshot *s, void *bytes, size_t len);
void snapshot_u8(Snapshot *s, uint8_t *value);
void snapshot_u16(Snapshot *s, uint16_t *value);
void snapshot_u32(Snapshot *s, uint32_t *value);
void snapshot_u64(Snapshot *s, uint64_t *value);
void snapshot_bool(Snapshot *s, bool *value);
void snapshot_expect(Snapshot *s, const char *what, uint64_t here);
void snapshot_expect_text(Snapshot *s, const char *what, const char *here);
void snapshot_refuse(Snapshot *s, const char *format, ...) _printf_(2, 3);

/** snapshot_saving() - whether state is being saved, without a mistake so far */
static inline bool snapshot_saving(const Snapshot *s) {
        return !s->restoring && s->error == 0;
}

/** snapshot_restored() - whether state is being restored, and all that was read so far is good */
static inline bool snapshot_restored(const Snapshot *s) {
        return s->restoring && s->error == 0;
}
