/* SPDX-License-Identifier: Apache-2.0 */
#include "config/balloon_message.h"

#include <errno.h>
#include <json-c/json.h>
#include <stddef.h>
#include <string.h>

#include "config/json_reader.h"
#include "config/json_writer.h"

#define KEY_ADJUST "Adjust"
#define KEY_STATS "Stats"
#define KEY_WORKING_SET "WorkingSet"
#define KEY_WORKING_SET_CONFIG "WorkingSetConfig"
#define WORKING_SET_BINS_MAX 16

/* ---- commands ---- */

typedef struct Reading {
        BalloonCommand command;
        unsigned n_commands;
        unsigned seen; /* a bit for each member that came */
} Reading;

#define SEEN(n) (1u << (n))

static int read_bytes(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        Reading *reading = object;
        int64_t n;
        int r = json_read_i64(value, 0, INT64_MAX, &n, reterr);

        if (r < 0)
                return r;
        reading->command.bytes = (uint64_t) n;
        reading->seen |= field->data;
        return 0;
}

static int read_flag(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        Reading *reading = object;

        reading->seen |= field->data;
        return json_read_bool(value, &reading->command.allow_failure, reterr);
}

static int check_u32(const JsonValue *value, void *object, TextError *reterr) {
        int64_t n;

        return json_read_i64(value, 0, UINT32_MAX, &n, reterr);
}

static int read_u32(const JsonValue *value, const JsonField *field, void *object,
                    TextError *reterr) {
        ((Reading *) object)->seen |= field->data;
        return check_u32(value, NULL, reterr);
}

static int read_bins(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        ((Reading *) object)->seen |= field->data;
        return json_read_array(value, WORKING_SET_BINS_MAX, check_u32, NULL, reterr);
}

static int read_members(const JsonValue *value, const JsonField *fields, size_t n, Reading *reading,
                        TextError *reterr) {
        int r = json_read_object(value, fields, n, reading, reterr);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (fields[i].data & ~reading->seen)
                        return json_error(value, reterr, "\"%s\" is missing", fields[i].key);
        return 0;
}

static int read_adjust(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        static const JsonField fields[] = {
                {"num_bytes", read_bytes, 0, SEEN(0)},
                {"allow_failure", read_flag, 0, SEEN(1)},
        };
        Reading *reading = object;

        reading->command.kind = BALLOON_ADJUST;
        reading->n_commands++;
        return read_members(value, fields, ELEMENTSOF(fields), reading, reterr);
}

static int read_working_set_config(const JsonValue *value, const JsonField *field, void *object,
                                   TextError *reterr) {
        static const JsonField fields[] = {
                {"bins", read_bins, 0, SEEN(2)},
                {"refresh_threshold", read_u32, 0, SEEN(3)},
                {"report_threshold", read_u32, 0, SEEN(4)},
        };
        Reading *reading = object;

        reading->command.kind = BALLOON_WORKING_SET_CONFIG;
        reading->n_commands++;
        return read_members(value, fields, ELEMENTSOF(fields), reading, reterr);
}

static int read_object(const JsonValue *root, Reading *reading, TextError *reterr) {
        static const JsonField fields[] = {
                {KEY_ADJUST, read_adjust, 0, 0},
                {KEY_WORKING_SET_CONFIG, read_working_set_config, 0, 0},
        };
        int r = json_read_object(root, fields, ELEMENTSOF(fields), reading, reterr);

        if (r >= 0 && reading->n_commands != 1)
                return json_error(root, reterr, "expected one command");
        return r;
}

static int read_command(const JsonValue *root, Reading *reading, TextError *reterr) {
        static const char *const names[] = {KEY_STATS, KEY_WORKING_SET};
        unsigned choice;
        int r;

        if (json_object_is_type(root->json, json_type_object))
                return read_object(root, reading, reterr);
        r = json_read_choice(root, names, ELEMENTSOF(names), &choice, reterr);
        if (r >= 0)
                reading->command.kind = choice == 0 ? BALLOON_STATS : BALLOON_WORKING_SET;
        return r;
}

/**
 * balloon_command_parse() - one message of whoever sizes the balloon
 * @ret: set on success only
 *
 * Return: 0; -EINVAL with a sentence; -ENOMEM.
 */
int balloon_command_parse(const char *json, BalloonCommand *ret, TextError *reterr) {
        _cleanup_(json_freep) struct json_object *tree = NULL;
        Reading reading = {0};
        int r;

        r = json_parse(json, BALLOON_MESSAGE_MAX, &tree, reterr);
        if (r < 0)
                return r;
        r = read_command(&(JsonValue){.json = tree, .path = ""}, &reading, reterr);
        if (r < 0)
                return r;
        *ret = reading.command;
        return 0;
}

/* ---- results ---- */

/** balloon_stats_build() - add the members "stats" and "balloon_actual" to @body; absent ones are null. Return: 0; -ENOMEM. */
int balloon_stats_build(const ControlBalloon *balloon, struct json_object *body) {
        const struct {
                const char *key;
                uint64_t value;
        } members[] = {
#define CONTROL_BALLOON_PAIR(member) {#member, balloon->member},
                CONTROL_BALLOON_TABLE(CONTROL_BALLOON_PAIR)
#undef CONTROL_BALLOON_PAIR
        };
        struct json_object *stats = json_object_new_object();
        int r = json_add_consume(body, "stats", stats);

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(members); i++)
                r = json_add_count(stats, members[i].key, members[i].value);
        return r < 0 ? r : json_add_count(body, "balloon_actual", balloon->balloon_actual);
}

static int build_body(const BalloonResult *result, const char *key, struct json_object *root) {
        struct json_object *body = json_object_new_object();
        int r = json_add_consume(root, key, body);

        if (r < 0)
                return r;
        return result->kind == BALLOON_ADJUSTED ? json_add_count(body, "num_bytes", result->bytes)
                                                : balloon_stats_build(&result->stats, body);
}

/**
 * balloon_result_format() - a result to the text of a message
 * @ret: owned by the caller
 *
 * Return: 0; -ENOMEM.
 */
int balloon_result_format(const BalloonResult *result, char **ret) {
        static const char *const keys[] = {
                [BALLOON_READY] = "Ready",
                [BALLOON_NOT_READY] = "NotReady",
                [BALLOON_ADJUSTED] = "Adjusted",
                [BALLOON_HAS_STATS] = KEY_STATS,
        };
        const bool plain = result->kind == BALLOON_READY || result->kind == BALLOON_NOT_READY;
        const char *key = keys[result->kind];
        _cleanup_(json_freep) struct json_object *tree =
                plain ? json_object_new_string(key) : json_object_new_object();
        int r = tree ? 0 : -ENOMEM;

        if (r == 0 && !plain)
                r = build_body(result, key, tree);
        return r < 0 ? r : json_text(tree, ret);
}
