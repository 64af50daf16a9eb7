/* SPDX-License-Identifier: Apache-2.0 */
#include "config/control_body.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "config/json_writer.h"

#define DISK_INDEX_MAX 255
#define PCI_SLOT_MAX 31
#define GPE_MAX 255
#define TEXT_MAX 4096u

/* ---- reading ---- */

#define SEEN(n) (1u << (n))

static int read_number(const JsonValue *value, int64_t max, int64_t *ret, TextError *reterr) {
        return json_read_i64(value, 0, max, ret, reterr);
}

static int read_index(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        ControlReading *reading = object;
        int64_t n;
        int r = read_number(value, (int64_t) field->offset, &n, reterr);

        if (r < 0)
                return r;
        reading->request.index = (unsigned) n;
        reading->seen |= field->data;
        return 0;
}

static int read_bytes(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        ControlReading *reading = object;
        int64_t n;
        int r = read_number(value, INT64_MAX - 1, &n, reterr);

        if (r < 0)
                return r;
        reading->request.bytes = (uint64_t) n;
        reading->seen |= field->data;
        return 0;
}

static int read_flag(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        ControlReading *reading = object;
        int r = json_read_bool(value, &reading->request.flag, reterr);

        if (r >= 0)
                reading->seen |= field->data;
        return r;
}

/* A switch of crosvm's that this VMM does not have: false, or refused by its name. */
static int read_never(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        ControlReading *reading = object;
        bool wanted;
        int r = json_read_bool(value, &wanted, reterr);

        if (r < 0)
                return r;
        if (wanted)
                return json_error(value, reterr, "is not supported");
        reading->seen |= field->data;
        return 0;
}

/* null, or the index of one of the descriptors that came along */
static int read_fd(const JsonValue *value, const JsonField *field, void *object,
                   TextError *reterr) {
        ControlReading *reading = object;
        int64_t n;
        int r;

        reading->seen |= field->data;
        if (json_is_null(value))
                return 0;
        r = read_number(value, CONTROL_FDS_MAX - 1, &n, reterr);
        if (r < 0)
                return r;
        if (n >= reading->n_fds)
                return json_error(value, reterr,
                                  "names descriptor %d, but %u came with the message", (int) n,
                                  reading->n_fds);
        reading->request.fd_index = (int) n;
        return 0;
}

static int store_text(const JsonValue *value, ControlReading *reading, TextError *reterr) {
        const char *text;
        int r = json_read_string(value, &text, reterr);

        if (r < 0)
                return r;
        if (!*text || strlen(text) > TEXT_MAX)
                return json_error(value, reterr, "expected 1 to %u bytes", TEXT_MAX);
        free(reading->request.text);
        reading->request.text = strdup(text);
        return reading->request.text ? 0 : -ENOMEM;
}

static int read_text(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        ControlReading *reading = object;

        reading->seen |= field->data;
        return store_text(value, reading, reterr);
}

static int read_members(const JsonValue *value, const JsonField *fields, size_t n, unsigned needed,
                        ControlReading *reading, TextError *reterr) {
        int r = json_read_object(value, fields, n, reading, reterr);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (fields[i].data & needed & ~reading->seen)
                        return json_error(value, reterr, "\"%s\" is missing", fields[i].key);
        return 0;
}

#define MEMBERS(value, fields, needed, reading, reterr)                                            \
        read_members(value, fields, ELEMENTSOF(fields), needed, reading, reterr)

static int read_resize(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        static const JsonField fields[] = {{"new_size", read_bytes, 0, SEEN(0)}};
        ControlReading *reading = object;
        unsigned seen = reading->seen;
        int r;

        reading->seen = 0;
        r = MEMBERS(value, fields, SEEN(0), reading, reterr);
        reading->seen |= seen;
        return r;
}

static int read_disk_command(const JsonValue *value, const JsonField *field, void *object,
                             TextError *reterr) {
        static const JsonField fields[] = {{"Resize", read_resize, 0, SEEN(0)}};
        ControlReading *reading = object;
        unsigned seen = reading->seen;
        int r;

        if (!json_has_member(value, "Resize"))
                return json_error(value, reterr, "expected {\"Resize\":…}");
        r = MEMBERS(value, fields, 0, reading, reterr);
        reading->seen = seen | field->data;
        return r;
}

/* A bridge of the host's is no function that a guest could drive. */
static int read_device_type(const JsonValue *value, const JsonField *field, void *object,
                            TextError *reterr) {
        const char *type;
        int r = json_read_string(value, &type, reterr);

        if (r < 0)
                return r;
        if (!str_eq(type, "EndPoint"))
                return json_error(value, reterr, "\"%.*s\" is not supported, but \"EndPoint\" is",
                                  JSON_SHOWN(type));
        return 0;
}

/* The slot's interrupt, which this machine does not have in the request, may be on or off. */
static int read_ignored_flag(const JsonValue *value, const JsonField *field, void *object,
                             TextError *reterr) {
        bool ignored;

        return json_read_bool(value, &ignored, reterr);
}

static int read_host_function(const JsonValue *value, const JsonField *field, void *object,
                              TextError *reterr) {
        static const JsonField fields[] = {
                {"device_type", read_device_type, 0, 0},
                {"path", read_text, 0, SEEN(0)},
                {"hp_interrupt", read_ignored_flag, 0, 0},
        };
        ControlReading *reading = object;
        const unsigned seen = reading->seen;
        int r;

        reading->seen = 0;
        r = MEMBERS(value, fields, SEEN(0), reading, reterr);
        reading->seen = seen | field->data;
        return r;
}

static int read_slot(const JsonValue *value, ControlReading *reading, TextError *reterr) {
        static const JsonField slot = {"", read_index, PCI_SLOT_MAX, 0};

        return read_index(value, &slot, reading, reterr);
}

/* What is on a bus, or a disk by its number. */
static int read_removal(const JsonValue *value, ControlReading *reading, TextError *reterr) {
        static const JsonField disk[] = {{"disk", read_index, DISK_INDEX_MAX, SEEN(0)}};

        reading->request.flag = json_object_is_type(value->json, json_type_object);
        return reading->request.flag ? MEMBERS(value, disk, SEEN(0), reading, reterr)
                                     : read_slot(value, reading, reterr);
}

static const char *lacks_tap(const ControlRequest *request) {
        return request->fd_index < 0 ? "\"tap\" names no descriptor" : NULL;
}

static const char *lacks_disk(const ControlRequest *request) {
        return request->fd_index < 0 && !request->text ? "expected \"block\" or \"file\"" : NULL;
}

static bool has_path_or_file(const ControlRequest *request) {
        return (request->fd_index < 0) != !request->text;
}

static const char *lacks_ramdump(const ControlRequest *request) {
        return has_path_or_file(request) ? NULL : "expected one of \"path\" and \"file\"";
}

static const char *lacks_snapshot(const ControlRequest *request) {
        return has_path_or_file(request) ? NULL : "expected one of \"snapshot_path\" and \"file\"";
}

static const JsonField gpe_members[] = {
        {"gpe", read_index, GPE_MAX, SEEN(0)},
        {"clear_evt", read_fd, 0, SEEN(1)},
};
static const JsonField adjust_members[] = {
        {"num_bytes", read_bytes, 0, SEEN(0)},
        {"wait_for_success", read_flag, 0, SEEN(1)},
};
static const JsonField resize_members[] = {
        {"disk_index", read_index, DISK_INDEX_MAX, SEEN(1)},
        {"command", read_disk_command, 0, SEEN(2)},
};
static const JsonField tap_members[] = {
        {"tap", read_fd, 0, SEEN(0)},
        {"net", read_text, 0, SEEN(1)},
};
static const JsonField link_members[] = {
        {"bus", read_index, PCI_SLOT_MAX, SEEN(0)},
        {"up", read_flag, 0, SEEN(1)},
};
static const JsonField disk_members[] = {
        {"block", read_text, 0, SEEN(0)},
        {"file", read_fd, 0, SEEN(1)},
};
static const JsonField vfio_members[] = {
        {"device", read_host_function, 0, SEEN(1)},
        {"add", read_flag, 0, SEEN(2)},
        {"group", read_fd, 0, SEEN(3)},
};
static const JsonField ramdump_members[] = {
        {"path", read_text, 0, SEEN(0)},
        {"file", read_fd, 0, SEEN(1)},
};
static const JsonField snapshot_members[] = {
        {"snapshot_path", read_text, 0, SEEN(0)},
        {"file", read_fd, 0, SEEN(1)},
        {"compress_memory", read_never, 0, SEEN(2)},
        {"encrypt", read_never, 0, SEEN(3)},
};
static const JsonField disable_members[] = {{"slow_file_cleanup", read_flag, 0, SEEN(0)}};

/* ---- writing ---- */

static int add_fd(struct json_object *object, const char *key, int fd_index) {
        /* json-c has no object for null. */
        if (fd_index < 0)
                return json_object_object_add(object, key, NULL) < 0 ? -ENOMEM : 0;
        return json_add_consume(object, key, json_object_new_int(fd_index));
}

static int add_file(struct json_object *body, const char *key, int fd_index) {
        return fd_index < 0 ? 0 : add_fd(body, key, fd_index);
}

static int build_gpe(const ControlRequest *request, struct json_object *body) {
        int r = json_add_number(body, "gpe", request->index);

        return r < 0 ? r : add_fd(body, "clear_evt", request->fd_index);
}

static int build_adjust(const ControlRequest *request, struct json_object *body) {
        int r = json_add_consume(body, "num_bytes", json_object_new_uint64(request->bytes));

        return r < 0 ? r : json_add_bool(body, "wait_for_success", request->flag);
}

static int build_resize(const ControlRequest *request, struct json_object *body) {
        struct json_object *command, *resize;
        int r;

        r = json_add_number(body, "disk_index", request->index);
        if (r < 0)
                return r;
        command = json_object_new_object();
        r = json_add_consume(body, "command", command);
        if (r < 0)
                return r;
        resize = json_object_new_object();
        r = json_add_consume(command, "Resize", resize);
        return r < 0 ? r
                     : json_add_consume(resize, "new_size", json_object_new_uint64(request->bytes));
}

static int build_vfio(const ControlRequest *request, struct json_object *body) {
        struct json_object *device = json_object_new_object();
        int r = json_add_consume(body, "device", device);

        if (r >= 0)
                r = json_add_string(device, "device_type", "EndPoint");
        if (r >= 0)
                r = json_add_string(device, "path", request->text);
        if (r >= 0) /* as crosvm has it */
                r = json_add_bool(device, "hp_interrupt", request->flag);
        if (r >= 0)
                r = json_add_bool(body, "add", request->flag);
        return r < 0 ? r : add_file(body, "group", request->fd_index);
}

static int build_tap(const ControlRequest *request, struct json_object *body) {
        int r = add_fd(body, "tap", request->fd_index);

        return r < 0 ? r : json_add_string(body, "net", request->text);
}

static int build_link(const ControlRequest *request, struct json_object *body) {
        int r = json_add_number(body, "bus", request->index);

        return r < 0 ? r : json_add_bool(body, "up", request->flag);
}

static int build_disk(const ControlRequest *request, struct json_object *body) {
        int r = json_add_string(body, "block", request->text);

        return r < 0 ? r : add_file(body, "file", request->fd_index);
}

static int build_ramdump(const ControlRequest *request, struct json_object *body) {
        int r = json_add_string(body, "path", request->text);

        return r < 0 ? r : add_file(body, "file", request->fd_index);
}

static int build_snapshot(const ControlRequest *request, struct json_object *body) {
        int r = json_add_string(body, "snapshot_path", request->text);

        return r < 0 ? r : add_file(body, "file", request->fd_index);
}

static int build_removal(const ControlRequest *request, struct json_object *body) {
        return json_add_number(body, "disk", request->index);
}

static int build_disable(const ControlRequest *request, struct json_object *body) {
        return json_add_bool(body, "slow_file_cleanup", request->flag);
}

/* ---- which request has what ---- */

/* What comes with a request: an object of @members, or something that has readers and writers of its own. */
typedef struct RequestBody {
        const JsonField *members;
        size_t n_members;
        unsigned needed; /* SEEN() of the members that must come */
        /* Optional: what the request still lacks when its members are read, as a sentence; NULL: nothing. */
        const char *(*lacks)(const ControlRequest *request);
        /* In place of @members: reads a value that is none, or not always, an object. */
        int (*read)(const JsonValue *value, ControlReading *reading, TextError *reterr);
        /* Fills the object; NULL where the value never is one. */
        int (*build)(const ControlRequest *request, struct json_object *body);
} RequestBody;

#define OBJECT(fields) .members = (fields), .n_members = ELEMENTSOF(fields)

/* By ControlKind. Requests that have no entry come without a value. */
static const RequestBody bodies[CONTROL_KINDS] = {
        [CONTROL_GPE] = {OBJECT(gpe_members), .needed = SEEN(0), .build = build_gpe},
        [CONTROL_BALLOON_ADJUST] = {OBJECT(adjust_members), .needed = SEEN(0) | SEEN(1),
                                    .build = build_adjust},
        [CONTROL_DISK_RESIZE] = {OBJECT(resize_members), .needed = SEEN(1) | SEEN(2),
                                 .build = build_resize},
        [CONTROL_NET_ADD] = {.read = store_text},
        [CONTROL_NET_ADD_FD] = {OBJECT(tap_members), .needed = SEEN(0), .lacks = lacks_tap,
                                .build = build_tap},
        [CONTROL_NET_REMOVE] = {.read = read_slot},
        [CONTROL_NET_LINK] = {OBJECT(link_members), .needed = SEEN(0) | SEEN(1),
                              .build = build_link},
        [CONTROL_DISK_ADD] = {OBJECT(disk_members), .lacks = lacks_disk, .build = build_disk},
        [CONTROL_DISK_REMOVE] = {.read = read_removal, .build = build_removal},
        [CONTROL_VFIO] = {OBJECT(vfio_members), .needed = SEEN(1) | SEEN(2), .build = build_vfio},
        [CONTROL_RAMDUMP] = {OBJECT(ramdump_members), .lacks = lacks_ramdump,
                             .build = build_ramdump},
        [CONTROL_SNAPSHOT_TAKE] = {OBJECT(snapshot_members), .lacks = lacks_snapshot,
                                   .build = build_snapshot},
        [CONTROL_SWAP_DISABLE] = {OBJECT(disable_members), .needed = SEEN(0),
                                  .build = build_disable},
};

/** control_body_exists() - whether requests of this kind come with a value */
bool control_body_exists(ControlKind kind) {
        return bodies[kind].members || bodies[kind].read;
}

/**
 * control_body_read() - the value that came with a request
 * @reading: its request's kind is set; the members are filled
 *
 * Return: 0; -EINVAL with a sentence; -ENOMEM.
 */
int control_body_read(const JsonValue *value, ControlReading *reading, TextError *reterr) {
        const RequestBody *body = &bodies[reading->request.kind];
        const char *lack;
        int r;

        if (body->read)
                return body->read(value, reading, reterr);
        r = read_members(value, body->members, body->n_members, body->needed, reading, reterr);
        if (r < 0)
                return r;
        lack = body->lacks ? body->lacks(&reading->request) : NULL;
        return lack ? json_error(value, reterr, "%s", lack) : 0;
}

/**
 * control_body_build() - the value that goes with @request, which has one
 * @ret: owned by the caller
 *
 * Return: 0; -EINVAL; -ENOMEM.
 */
int control_body_build(const ControlRequest *request, struct json_object **ret) {
        _cleanup_(json_freep) struct json_object *body = NULL;
        int r = 0;

        if (request->kind == CONTROL_NET_ADD) {
                body = request->text ? json_object_new_string(request->text) : NULL;
        } else if (request->kind == CONTROL_NET_REMOVE ||
                   (request->kind == CONTROL_DISK_REMOVE && !request->flag)) {
                body = json_object_new_int64(request->index);
        } else {
                body = json_object_new_object();
                r = body ? bodies[request->kind].build(request, body) : 0;
        }
        if (r < 0)
                return r;
        if (!body)
                return -ENOMEM;
        *ret = TAKE(body);
        return 0;
}
