/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "config/balloon_message.h"
#include "config/control_message.h"
#include "config/json_reader.h"
#include "config/json_writer.h"

#define KEY_ERR "Err"
#define KEY_ERR_STRING "ErrString"
#define KEY_BALLOON "BalloonStats"
#define KEY_HOTPLUG "PciHotPlugResponse"
#define KEY_VCPUS "VcpuPidTidResponse"
#define KEY_STATS "Stats"
#define KEY_STATE "State"
#define KEY_DISKS "Disks"
#define KEY_SWAP "SwapStatus"
#define OK "Ok"

/* ---- writing ---- */

/* The object below @key, made if it is not there; borrowed. */
static struct json_object *child(struct json_object *object, const char *key) {
        struct json_object *found;

        if (json_object_object_get_ex(object, key, &found))
                return found;
        found = json_object_new_object();
        return json_add_consume(object, key, found) < 0 ? NULL : found;
}

static int build_vcpus(const ControlAnswer *answer, struct json_object *body) {
        struct json_object *map = child(body, "pid_tid_map");
        int r = map ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < answer->n_vcpus; i++) {
                struct json_object *pair = json_object_new_array();
                char key[24];

                (void) snprintf(key, sizeof(key), "%zu", i);
                r = json_add_consume(map, key, pair);
                if (r >= 0)
                        r = json_append_consume(pair, json_object_new_int(answer->vcpus[i].pid));
                if (r >= 0)
                        r = json_append_consume(pair, json_object_new_int(answer->vcpus[i].tid));
        }
        return r;
}

static int build_stats(const ControlAnswer *answer, struct json_object *body) {
        for (size_t i = 0; i < answer->n_counters; i++) {
                const ControlCounter *counter = &answer->counters[i];
                struct json_object *class = child(body, counter->class);
                struct json_object *object = class ? child(class, counter->object) : NULL;
                int r;

                if (!object)
                        return -ENOMEM;
                r = json_add_count(object, counter->counter, counter->value);
                if (r < 0)
                        return r;
        }
        return 0;
}

static const char *running_or_suspended(bool suspended) {
        return suspended ? "suspended" : "running";
}

static int build_state(const ControlAnswer *answer, struct json_object *body) {
        int r = json_add_consume(
                body, "vcpus",
                json_object_new_string(running_or_suspended(answer->vcpus_suspended)));

        return r < 0 ? r
                     : json_add_consume(body, "devices",
                                        json_object_new_string(
                                                running_or_suspended(answer->devices_suspended)));
}

static int build_hotplug(const ControlAnswer *answer, struct json_object *body) {
        int r = json_add_number(body, "bus", answer->bus);

        return r < 0 || !answer->has_disk ? r : json_add_number(body, "disk", answer->disk);
}

static int build_disk(const ControlDisk *disk, struct json_object *array) {
        struct json_object *object = json_object_new_object();
        int r = json_append_consume(array, object);

        if (r >= 0)
                r = json_add_number(object, "disk", disk->number);
        if (r >= 0)
                r = json_add_number(object, "bus", disk->bus);
        if (r >= 0)
                r = json_add_number(object, "bytes", disk->bytes);
        if (r >= 0)
                r = json_add_bool(object, "ro", disk->read_only);
        return r < 0 ? r : json_add_string(object, "id", disk->id);
}

static int build_disks(const ControlAnswer *answer, struct json_object *root) {
        struct json_object *array = json_object_new_array();
        int r = json_add_consume(root, KEY_DISKS, array);

        for (size_t i = 0; r >= 0 && i < answer->n_disks; i++)
                r = build_disk(&answer->disks[i], array);
        return r;
}

static int build_swap(const ControlSwap *swap, struct json_object *body) {
        const struct {
                const char *key;
                uint64_t value;
        } members[] = {
#define CONTROL_SWAP_PAIR(member) {#member, swap->member},
                CONTROL_SWAP_TABLE(CONTROL_SWAP_PAIR)
#undef CONTROL_SWAP_PAIR
        };
        struct json_object *metrics, *transition;
        int r = json_add_string(body, "state", swap->state);

        metrics = r < 0 ? NULL : child(body, "metrics");
        if (!metrics)
                return -ENOMEM;
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(members); i++)
                r = json_add_count(metrics, members[i].key, members[i].value);
        transition = r < 0 ? NULL : child(body, "state_transition");
        if (!transition)
                return -ENOMEM;
        r = json_add_count(transition, "pages", swap->transition_pages);
        return r < 0 ? r : json_add_count(transition, "time_ms", swap->transition_ms);
}

static int build(const ControlAnswer *answer, struct json_object *root) {
        struct json_object *body;

        switch (answer->kind) {
        case CONTROL_ERR:
                return json_add_consume(root, KEY_ERR, json_object_new_int(answer->error));
        case CONTROL_ERR_STRING:
                return json_add_string(root, KEY_ERR_STRING, answer->text);
        case CONTROL_ANSWER_BALLOON:
                body = child(root, KEY_BALLOON);
                return body ? balloon_stats_build(&answer->balloon, body) : -ENOMEM;
        case CONTROL_ANSWER_HOTPLUG:
                body = child(root, KEY_HOTPLUG);
                return body ? build_hotplug(answer, body) : -ENOMEM;
        case CONTROL_ANSWER_DISKS:
                return build_disks(answer, root);
        case CONTROL_ANSWER_VCPUS:
                body = child(root, KEY_VCPUS);
                return body ? build_vcpus(answer, body) : -ENOMEM;
        case CONTROL_ANSWER_STATS:
                body = child(root, KEY_STATS);
                return body ? build_stats(answer, body) : -ENOMEM;
        case CONTROL_ANSWER_STATE:
                body = child(root, KEY_STATE);
                return body ? build_state(answer, body) : -ENOMEM;
        case CONTROL_ANSWER_SWAP:
                body = child(root, KEY_SWAP);
                return body ? build_swap(&answer->swap, body) : -ENOMEM;
        case CONTROL_OK:
        case CONTROL_ANSWER_OTHER:
                break;
        }
        return -EINVAL;
}

/**
 * control_answer_format() - an answer to the text of a message; not for CONTROL_ANSWER_OTHER
 * @ret: owned by the caller
 *
 * Return: 0; -EINVAL; -ENOMEM.
 */
int control_answer_format(const ControlAnswer *answer, char **ret) {
        _cleanup_(json_freep) struct json_object *tree = NULL;
        int r = 0;

        tree = answer->kind == CONTROL_OK ? json_object_new_string(OK) : json_object_new_object();
        if (!tree)
                return -ENOMEM;
        if (answer->kind != CONTROL_OK)
                r = build(answer, tree);
        if (r < 0)
                return r;
        return json_text(tree, ret);
}

/* ---- reading ---- */

static int read_count(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        uint64_t *member = (uint64_t *) (void *) ((char *) object + field->offset);
        int64_t n;
        int r;

        *member = CONTROL_UNKNOWN;
        if (json_is_null(value))
                return 0;
        r = json_read_i64(value, 0, INT64_MAX - 1, &n, reterr);
        if (r >= 0)
                *member = (uint64_t) n;
        return r;
}

static int read_balloon_stats(const JsonValue *value, const JsonField *field, void *object,
                              TextError *reterr) {
        static const JsonField fields[] = {
#define CONTROL_BALLOON_FIELD(member) {#member, read_count, offsetof(ControlBalloon, member), 0},
                CONTROL_BALLOON_TABLE(CONTROL_BALLOON_FIELD)
#undef CONTROL_BALLOON_FIELD
        };

        return json_read_object(value, fields, ELEMENTSOF(fields), object, reterr);
}

static int read_balloon(const JsonValue *value, ControlAnswer *answer, TextError *reterr) {
        static const JsonField fields[] = {
                {"stats", read_balloon_stats, 0, 0},
                {"balloon_actual", read_count, offsetof(ControlBalloon, balloon_actual), 0},
        };

        memset(&answer->balloon, 0xff, sizeof(answer->balloon)); /* all CONTROL_UNKNOWN */
        answer->kind = CONTROL_ANSWER_BALLOON;
        return json_read_object(value, fields, ELEMENTSOF(fields), &answer->balloon, reterr);
}

static int read_bus(const JsonValue *value, const JsonField *field, void *object,
                    TextError *reterr) {
        ControlAnswer *answer = object;
        int64_t n;
        int r = json_read_i64(value, 0, UINT8_MAX, &n, reterr);

        if (r >= 0)
                answer->bus = (unsigned) n;
        return r;
}

static int read_new_disk(const JsonValue *value, const JsonField *field, void *object,
                         TextError *reterr) {
        ControlAnswer *answer = object;
        int64_t n;
        int r = json_read_i64(value, 0, UINT8_MAX, &n, reterr);

        if (r < 0)
                return r;
        answer->has_disk = true;
        answer->disk = (uint32_t) n;
        return 0;
}

/* A small number of a disk, by its offset. */
static int read_u32(const JsonValue *value, const JsonField *field, void *object,
                    TextError *reterr) {
        int64_t n;
        int r = json_read_i64(value, 0, UINT8_MAX, &n, reterr);

        if (r >= 0)
                *(uint32_t *) (void *) ((char *) object + field->offset) = (uint32_t) n;
        return r;
}

static int read_disk_flag(const JsonValue *value, const JsonField *field, void *object,
                          TextError *reterr) {
        return json_read_bool(value, &((ControlDisk *) object)->read_only, reterr);
}

static int read_disk_id(const JsonValue *value, const JsonField *field, void *object,
                        TextError *reterr) {
        ControlDisk *disk = object;
        const char *text;
        int r = json_read_string(value, &text, reterr);

        if (r < 0)
                return r;
        if (strlen(text) > CONTROL_DISK_ID_MAX)
                return json_error(value, reterr, "expected at most %u bytes", CONTROL_DISK_ID_MAX);
        (void) stpcpy(disk->id, text);
        return 0;
}

static int read_disk(const JsonValue *value, void *object, TextError *reterr) {
        static const JsonField fields[] = {
                {"disk", read_u32, offsetof(ControlDisk, number), 0},
                {"bus", read_u32, offsetof(ControlDisk, bus), 0},
                {"bytes", read_count, offsetof(ControlDisk, bytes), 0},
                {"ro", read_disk_flag, 0, 0},
                {"id", read_disk_id, 0, 0},
        };
        ControlAnswer *answer = object;

        return json_read_object(value, fields, ELEMENTSOF(fields),
                                &answer->disks[answer->n_disks++], reterr);
}

static int read_choice_suspended(const JsonValue *value, const JsonField *field, void *object,
                                 TextError *reterr) {
        static const char *const states[] = {"running", "suspended"};
        unsigned choice;
        int r = json_read_choice(value, states, ELEMENTSOF(states), &choice, reterr);

        if (r >= 0)
                *(bool *) ((char *) object + field->offset) = choice == 1;
        return r;
}

static int read_error(const JsonValue *value, ControlAnswer *answer, TextError *reterr) {
        int64_t n;
        int r = json_read_i64(value, INT_MIN, INT_MAX, &n, reterr);

        answer->kind = CONTROL_ERR;
        answer->error = r < 0 ? 0 : (int) n;
        return r;
}

static int copy_text(const char *text, ControlAnswer *answer) {
        answer->text = strdup(text);
        return answer->text ? 0 : -ENOMEM;
}

static int read_body(const char *key, const JsonValue *body, ControlAnswer *answer,
                     TextError *reterr) {
        static const JsonField hotplug[] = {
                {"bus", read_bus, 0, 0},
                {"disk", read_new_disk, 0, 0},
        };
        static const JsonField states[] = {
                {"vcpus", read_choice_suspended, offsetof(ControlAnswer, vcpus_suspended), 0},
                {"devices", read_choice_suspended, offsetof(ControlAnswer, devices_suspended), 0},
        };
        const char *text;
        int r;

        if (str_eq(key, KEY_ERR))
                return read_error(body, answer, reterr);
        if (str_eq(key, KEY_ERR_STRING)) {
                answer->kind = CONTROL_ERR_STRING;
                r = json_read_string(body, &text, reterr);
                return r < 0 ? r : copy_text(text, answer);
        }
        if (str_eq(key, KEY_BALLOON))
                return read_balloon(body, answer, reterr);
        if (str_eq(key, KEY_HOTPLUG)) {
                answer->kind = CONTROL_ANSWER_HOTPLUG;
                return json_read_object(body, hotplug, ELEMENTSOF(hotplug), answer, reterr);
        }
        if (str_eq(key, KEY_STATE)) {
                answer->kind = CONTROL_ANSWER_STATE;
                return json_read_object(body, states, ELEMENTSOF(states), answer, reterr);
        }
        if (str_eq(key, KEY_DISKS)) {
                answer->kind = CONTROL_ANSWER_DISKS;
                return json_read_array(body, CONTROL_DISKS_MAX, read_disk, answer, reterr);
        }
        if (str_eq(key, KEY_SWAP)) {
                answer->kind = CONTROL_ANSWER_SWAP;
                return json_text(body->json, &answer->text);
        }
        answer->kind = CONTROL_ANSWER_OTHER;
        return 0;
}

/**
 * control_answer_parse() - the text of an answer
 * @ret: set on success only; the caller frees @ret->text. Statistics and vCPUs are left as text, CONTROL_ANSWER_OTHER.
 *       CONTROL_ANSWER_SWAP is text as well.
 *
 * Return: 0; -EINVAL or -E2BIG with a sentence in @reterr; -ENOMEM.
 */
int control_answer_parse(const char *json, ControlAnswer *ret, TextError *reterr) {
        _cleanup_(json_freep) struct json_object *tree = NULL;
        ControlAnswer answer = {.kind = CONTROL_OK};
        JsonValue root = {.path = "answer"};
        int r;

        r = json_parse(json, CONTROL_ANSWER_MAX, &tree, reterr);
        if (r < 0)
                return r;
        root.json = tree;
        if (json_object_is_type(tree, json_type_string)) {
                if (!str_eq(json_object_get_string(tree), OK))
                        answer.kind = CONTROL_ANSWER_OTHER;
        } else if (json_object_is_type(tree, json_type_object) &&
                   json_object_object_length(tree) == 1) {
                json_object_object_foreach(tree, key, body) {
                        r = read_body(key, &(JsonValue){body, key}, &answer, reterr);
                }
        } else {
                return json_error(&root, reterr, "expected a name or an object of one member");
        }
        if (r >= 0 && answer.kind == CONTROL_ANSWER_OTHER)
                r = copy_text(json, &answer);
        if (r < 0) {
                free(answer.text);
                return r;
        }
        *ret = answer;
        return 0;
}
