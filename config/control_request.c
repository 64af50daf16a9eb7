/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "config/control_message.h"
#include "config/json_reader.h"
#include "config/json_writer.h"

#define DISK_INDEX_MAX 255
#define PCI_SLOT_MAX 31
#define GPE_MAX 255
#define TEXT_MAX 4096u

typedef struct RequestName {
        const char *group, *name;
} RequestName;

static const RequestName names[] = {
#define CONTROL_KIND_NAME(KIND, group, name) {group, name},
        CONTROL_REQUEST_TABLE(CONTROL_KIND_NAME)
#undef CONTROL_KIND_NAME
};

/* What crosvm knows and this VMM does not have: answered by name. */
static const char *const unsupported[] = {
        "BatCommand", "GetVmDescriptor",    "GpuCommand",
        "PciPme",     "RegisterListener",   "RegisterMemory",
        "Rtc",        "SndCommand",         "Throttle",
        "Unregister", "UnregisterListener", "UnregisterMemory",
        "UsbCommand",
};

/** control_request_deinit() - release what @request owns */
void control_request_deinit(ControlRequest *request) {
        free(request->text);
        *request = (ControlRequest){.fd_index = -1};
}

/** control_kind_name() - how a request is called in messages for people */
const char *control_kind_name(ControlKind kind) {
        if (kind == CONTROL_UNSUPPORTED)
                return "request";
        return names[kind].name ?: names[kind].group;
}

/* ---- reading ---- */

/* What the readers of one message's members fill. */
typedef struct Reading {
        ControlRequest request;
        unsigned n_fds;
        unsigned seen; /* bits of the members that came */
} Reading;

#define SEEN(n) (1u << (n))

static int read_number(const JsonValue *value, int64_t max, int64_t *ret, TextError *reterr) {
        return json_read_i64(value, 0, max, ret, reterr);
}

static int read_index(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        Reading *reading = object;
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
        Reading *reading = object;
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
        Reading *reading = object;
        int r = json_read_bool(value, &reading->request.flag, reterr);

        if (r >= 0)
                reading->seen |= field->data;
        return r;
}

/* A switch of crosvm's that this VMM does not have: false, or refused by its name. */
static int read_never(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        Reading *reading = object;
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
        Reading *reading = object;
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

static int store_text(const JsonValue *value, Reading *reading, TextError *reterr) {
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
        Reading *reading = object;

        reading->seen |= field->data;
        return store_text(value, reading, reterr);
}

static int read_members(const JsonValue *value, const JsonField *fields, size_t n, unsigned needed,
                        Reading *reading, TextError *reterr) {
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
        Reading *reading = object;
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
        Reading *reading = object;
        unsigned seen = reading->seen;
        int r;

        if (!json_has_member(value, "Resize"))
                return json_error(value, reterr, "expected {\"Resize\":…}");
        r = MEMBERS(value, fields, 0, reading, reterr);
        reading->seen = seen | field->data;
        return r;
}

/* What is on a bus, or a disk by its number. */
static int read_removal(const JsonValue *value, Reading *reading, TextError *reterr) {
        static const JsonField disk[] = {{"disk", read_index, DISK_INDEX_MAX, SEEN(0)}};
        static const JsonField slot = {"", read_index, PCI_SLOT_MAX, 0};

        reading->request.flag = json_object_is_type(value->json, json_type_object);
        return reading->request.flag ? MEMBERS(value, disk, SEEN(0), reading, reterr)
                                     : read_index(value, &slot, reading, reterr);
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
        Reading *reading = object;
        const unsigned seen = reading->seen;
        int r;

        reading->seen = 0;
        r = MEMBERS(value, fields, SEEN(0), reading, reterr);
        reading->seen = seen | field->data;
        return r;
}

/* The body of a request that has one. */
static int read_body(const JsonValue *value, Reading *reading, TextError *reterr) {
        static const JsonField gpe[] = {
                {"gpe", read_index, GPE_MAX, SEEN(0)},
                {"clear_evt", read_fd, 0, SEEN(1)},
        };
        static const JsonField adjust[] = {
                {"num_bytes", read_bytes, 0, SEEN(0)},
                {"wait_for_success", read_flag, 0, SEEN(1)},
        };
        static const JsonField disk[] = {
                {"disk_index", read_index, DISK_INDEX_MAX, SEEN(1)},
                {"command", read_disk_command, 0, SEEN(2)},
        };
        static const JsonField tap_fd[] = {
                {"tap", read_fd, 0, SEEN(0)},
                {"net", read_text, 0, SEEN(1)},
        };
        static const JsonField link[] = {
                {"bus", read_index, PCI_SLOT_MAX, SEEN(0)},
                {"up", read_flag, 0, SEEN(1)},
        };
        static const JsonField add_disk[] = {
                {"block", read_text, 0, SEEN(0)},
                {"file", read_fd, 0, SEEN(1)},
        };
        static const JsonField vfio[] = {
                {"device", read_host_function, 0, SEEN(1)},
                {"add", read_flag, 0, SEEN(2)},
                {"group", read_fd, 0, SEEN(3)},
        };
        static const JsonField ramdump[] = {
                {"path", read_text, 0, SEEN(0)},
                {"file", read_fd, 0, SEEN(1)},
        };
        static const JsonField take[] = {
                {"snapshot_path", read_text, 0, SEEN(0)},
                {"file", read_fd, 0, SEEN(1)},
                {"compress_memory", read_never, 0, SEEN(2)},
                {"encrypt", read_never, 0, SEEN(3)},
        };
        static const JsonField disable[] = {{"slow_file_cleanup", read_flag, 0, SEEN(0)}};
        static const JsonField slot = {"", read_index, PCI_SLOT_MAX, 0};
        int r;

        switch (reading->request.kind) {
        case CONTROL_GPE:
                return MEMBERS(value, gpe, SEEN(0), reading, reterr);
        case CONTROL_BALLOON_ADJUST:
                return MEMBERS(value, adjust, SEEN(0) | SEEN(1), reading, reterr);
        case CONTROL_DISK_RESIZE:
                return MEMBERS(value, disk, SEEN(1) | SEEN(2), reading, reterr);
        case CONTROL_NET_ADD:
                return store_text(value, reading, reterr);
        case CONTROL_NET_ADD_FD:
                r = MEMBERS(value, tap_fd, SEEN(0), reading, reterr);
                if (r >= 0 && reading->request.fd_index < 0)
                        return json_error(value, reterr, "\"tap\" names no descriptor");
                return r;
        case CONTROL_NET_REMOVE:
                return read_index(value, &slot, reading, reterr);
        case CONTROL_DISK_REMOVE:
                return read_removal(value, reading, reterr);
        case CONTROL_NET_LINK:
                return MEMBERS(value, link, SEEN(0) | SEEN(1), reading, reterr);
        case CONTROL_DISK_ADD:
                r = MEMBERS(value, add_disk, 0, reading, reterr);
                if (r >= 0 && reading->request.fd_index < 0 && !reading->request.text)
                        return json_error(value, reterr, "expected \"block\" or \"file\"");
                return r;
        case CONTROL_VFIO:
                return MEMBERS(value, vfio, SEEN(1) | SEEN(2), reading, reterr);
        case CONTROL_RAMDUMP:
                r = MEMBERS(value, ramdump, 0, reading, reterr);
                if (r >= 0 && (reading->request.fd_index < 0) == !reading->request.text)
                        return json_error(value, reterr, "expected one of \"path\" and \"file\"");
                return r;
        case CONTROL_SNAPSHOT_TAKE:
                r = MEMBERS(value, take, 0, reading, reterr);
                if (r >= 0 && (reading->request.fd_index < 0) == !reading->request.text)
                        return json_error(value, reterr,
                                          "expected one of \"snapshot_path\" and \"file\"");
                return r;
        case CONTROL_SWAP_DISABLE:
                return MEMBERS(value, disable, SEEN(0), reading, reterr);
        case CONTROL_EXIT:
        case CONTROL_POWERBTN:
        case CONTROL_SLEEPBTN:
        case CONTROL_MAKE_RT:
        case CONTROL_SUSPEND_VCPUS:
        case CONTROL_RESUME_VCPUS:
        case CONTROL_SUSPEND_VM:
        case CONTROL_RESUME_VM:
        case CONTROL_VCPU_PID_TID:
        case CONTROL_BALLOON_STATS:
        case CONTROL_SWAP_ENABLE:
        case CONTROL_SWAP_TRIM:
        case CONTROL_SWAP_OUT:
        case CONTROL_SWAP_STATUS:
        case CONTROL_STATS:
        case CONTROL_STATE:
        case CONTROL_DISK_LIST:
        case CONTROL_UNSUPPORTED:
                break;
        }
        return json_error(value, reterr, "takes no value");
}

static bool has_body(ControlKind kind) {
        switch (kind) {
        case CONTROL_GPE:
        case CONTROL_BALLOON_ADJUST:
        case CONTROL_DISK_RESIZE:
        case CONTROL_NET_ADD:
        case CONTROL_NET_ADD_FD:
        case CONTROL_NET_REMOVE:
        case CONTROL_NET_LINK:
        case CONTROL_DISK_ADD:
        case CONTROL_DISK_REMOVE:
        case CONTROL_VFIO:
        case CONTROL_RAMDUMP:
        case CONTROL_SNAPSHOT_TAKE:
        case CONTROL_SWAP_DISABLE:
                return true;
        case CONTROL_EXIT:
        case CONTROL_POWERBTN:
        case CONTROL_SLEEPBTN:
        case CONTROL_MAKE_RT:
        case CONTROL_SUSPEND_VCPUS:
        case CONTROL_RESUME_VCPUS:
        case CONTROL_SUSPEND_VM:
        case CONTROL_RESUME_VM:
        case CONTROL_VCPU_PID_TID:
        case CONTROL_BALLOON_STATS:
        case CONTROL_SWAP_ENABLE:
        case CONTROL_SWAP_TRIM:
        case CONTROL_SWAP_OUT:
        case CONTROL_SWAP_STATUS:
        case CONTROL_STATS:
        case CONTROL_STATE:
        case CONTROL_DISK_LIST:
        case CONTROL_UNSUPPORTED:
                break;
        }
        return false;
}

/* serde's externally tagged enum: a bare name, or an object of one member. @ret_body.json is NULL for a bare name. */
static int read_variant(const JsonValue *value, const char **ret_name, JsonValue *ret_body,
                        TextError *reterr) {
        *ret_body = (JsonValue){.path = value->path};
        if (json_object_is_type(value->json, json_type_string))
                return json_read_string(value, ret_name, reterr);
        if (!json_object_is_type(value->json, json_type_object) ||
            json_object_object_length(value->json) != 1)
                return json_error(value, reterr,
                                  "expected a name or an object of one member, not %s",
                                  json_type_to_name(json_object_get_type(value->json)));
        json_object_object_foreach(value->json, key, body) {
                *ret_name = key;
                ret_body->json = body;
                ret_body->path = key;
        }
        return 0;
}

static int find_kind(const char *group, const char *name, ControlKind *ret) {
        for (unsigned i = 0; i < ELEMENTSOF(names); i++) {
                const char *other = names[i].group;

                if ((!group) != (!other) || (group && !str_eq(group, other)))
                        continue;
                if ((!name) != (!names[i].name) || (name && !str_eq(name, names[i].name)))
                        continue;
                *ret = (ControlKind) i;
                return 0;
        }
        return -ENOENT;
}

static bool is_group(const char *name) {
        for (unsigned i = 0; i < ELEMENTSOF(names); i++)
                if (names[i].group && str_eq(names[i].group, name))
                        return true;
        return false;
}

static bool is_unsupported(const char *name) {
        for (unsigned i = 0; i < ELEMENTSOF(unsupported); i++)
                if (str_eq(unsupported[i], name))
                        return true;
        return false;
}

static int set_unsupported(Reading *reading, const char *group, const char *name) {
        int n = group ? asprintf(&reading->request.text, "%s.%.*s", group, JSON_SHOWN(name))
                      : asprintf(&reading->request.text, "%s", name);

        if (n < 0) {
                reading->request.text = NULL;
                return -ENOMEM;
        }
        reading->request.kind = CONTROL_UNSUPPORTED;
        return 0;
}

static int read_request(const JsonValue *root, Reading *reading, TextError *reterr) {
        const char *name = "", *group = NULL;
        JsonValue command, body;
        int r;

        r = read_variant(root, &name, &body, reterr);
        if (r < 0)
                return r;
        if (is_unsupported(name))
                return set_unsupported(reading, NULL, name);
        if (is_group(name) && find_kind(name, NULL, &reading->request.kind) < 0) {
                group = name;
                if (!body.json)
                        return json_error(root, reterr, "%s: its command is missing", group);
                command = body;
                r = read_variant(&command, &name, &body, reterr);
                if (r < 0)
                        return r;
                if (find_kind(group, name, &reading->request.kind) < 0)
                        return set_unsupported(reading, group, name);
        } else if (find_kind(NULL, name, &reading->request.kind) < 0 &&
                   find_kind(name, NULL, &reading->request.kind) < 0) {
                return json_error(root, reterr, "unknown request \"%.*s\"", JSON_SHOWN(name));
        }
        if (has_body(reading->request.kind))
                return read_body(&body, reading, reterr);
        return body.json ? json_error(&body, reterr, "takes no value") : 0;
}

/**
 * control_request_parse() - the text of a message to a request
 * @json:  at most CONTROL_MESSAGE_MAX bytes before the NUL
 * @n_fds: descriptors that came with it
 * @ret:   set on success only; release with control_request_deinit()
 *
 * Return: 0; -EINVAL or -E2BIG with a sentence in @reterr; -ENOMEM. A request of crosvm's that this VMM does not have is no
 * error but CONTROL_UNSUPPORTED.
 */
int control_request_parse(const char *json, unsigned n_fds, ControlRequest *ret,
                          TextError *reterr) {
        _cleanup_(json_freep) struct json_object *tree = NULL;
        Reading reading = {.request.fd_index = -1, .n_fds = n_fds};
        int r;

        r = json_parse(json, CONTROL_MESSAGE_MAX, &tree, reterr);
        if (r >= 0)
                r = read_request(&(JsonValue){tree, "request"}, &reading, reterr);
        if (r < 0) {
                control_request_deinit(&reading.request);
                return r;
        }
        *ret = reading.request;
        return 0;
}

/* ---- writing ---- */

static int add_fd(struct json_object *object, const char *key, int fd_index) {
        /* json-c has no object for null. */
        if (fd_index < 0)
                return json_object_object_add(object, key, NULL) < 0 ? -ENOMEM : 0;
        return json_add_consume(object, key, json_object_new_int(fd_index));
}

static int build_disk_command(const ControlRequest *request, struct json_object *body) {
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

static int build_host_function(const ControlRequest *request, struct json_object *body) {
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
        return r < 0 || request->fd_index < 0 ? r : add_fd(body, "group", request->fd_index);
}

static int build_members(const ControlRequest *request, struct json_object *body) {
        int r;

        switch (request->kind) {
        case CONTROL_GPE:
                r = json_add_number(body, "gpe", request->index);
                return r < 0 ? r : add_fd(body, "clear_evt", request->fd_index);
        case CONTROL_BALLOON_ADJUST:
                r = json_add_consume(body, "num_bytes", json_object_new_uint64(request->bytes));
                return r < 0 ? r : json_add_bool(body, "wait_for_success", request->flag);
        case CONTROL_DISK_RESIZE:
                return build_disk_command(request, body);
        case CONTROL_NET_ADD_FD:
                r = add_fd(body, "tap", request->fd_index);
                return r < 0 ? r : json_add_string(body, "net", request->text);
        case CONTROL_NET_LINK:
                r = json_add_number(body, "bus", request->index);
                return r < 0 ? r : json_add_bool(body, "up", request->flag);
        case CONTROL_VFIO:
                return build_host_function(request, body);
        case CONTROL_DISK_ADD:
        case CONTROL_RAMDUMP:
                r = json_add_string(body, request->kind == CONTROL_RAMDUMP ? "path" : "block",
                                    request->text);
                return r < 0 || request->fd_index < 0 ? r : add_fd(body, "file", request->fd_index);
        case CONTROL_SNAPSHOT_TAKE:
                r = json_add_string(body, "snapshot_path", request->text);
                return r < 0 || request->fd_index < 0 ? r : add_fd(body, "file", request->fd_index);
        case CONTROL_DISK_REMOVE:
                return json_add_number(body, "disk", request->index);
        case CONTROL_SWAP_DISABLE:
                return json_add_bool(body, "slow_file_cleanup", request->flag);
        case CONTROL_NET_ADD:
        case CONTROL_NET_REMOVE:
        case CONTROL_EXIT:
        case CONTROL_POWERBTN:
        case CONTROL_SLEEPBTN:
        case CONTROL_MAKE_RT:
        case CONTROL_SUSPEND_VCPUS:
        case CONTROL_RESUME_VCPUS:
        case CONTROL_SUSPEND_VM:
        case CONTROL_RESUME_VM:
        case CONTROL_VCPU_PID_TID:
        case CONTROL_BALLOON_STATS:
        case CONTROL_SWAP_ENABLE:
        case CONTROL_SWAP_TRIM:
        case CONTROL_SWAP_OUT:
        case CONTROL_SWAP_STATUS:
        case CONTROL_STATS:
        case CONTROL_STATE:
        case CONTROL_DISK_LIST:
        case CONTROL_UNSUPPORTED:
                break;
        }
        return -EINVAL;
}

static int build_body(const ControlRequest *request, struct json_object **ret) {
        _cleanup_(json_freep) struct json_object *body = NULL;
        int r = 0;

        if (request->kind == CONTROL_NET_ADD) {
                body = request->text ? json_object_new_string(request->text) : NULL;
        } else if (request->kind == CONTROL_NET_REMOVE ||
                   (request->kind == CONTROL_DISK_REMOVE && !request->flag)) {
                body = json_object_new_int64(request->index);
        } else {
                body = json_object_new_object();
                r = body ? build_members(request, body) : 0;
        }
        if (r < 0)
                return r;
        if (!body)
                return -ENOMEM;
        *ret = TAKE(body);
        return 0;
}

/* {"key": value}, or "key" without a value; consumes @value. */
static struct json_object *wrap(const char *key, struct json_object *value, bool bare) {
        struct json_object *object;

        if (bare)
                return json_object_new_string(key);
        object = value ? json_object_new_object() : NULL;
        if (object && json_object_object_add(object, key, value) == 0)
                return object;
        (void) json_object_put(object);
        (void) json_object_put(value);
        return NULL;
}

/**
 * control_request_format() - a request to the text of a message; not for CONTROL_UNSUPPORTED
 * @ret: owned by the caller
 *
 * Return: 0; -EINVAL; -ENOMEM.
 */
int control_request_format(const ControlRequest *request, char **ret) {
        _cleanup_(json_freep) struct json_object *tree = NULL;
        struct json_object *body = NULL;
        const RequestName *name;
        int r;

        if (request->kind >= CONTROL_UNSUPPORTED)
                return -EINVAL;
        name = &names[request->kind];
        if (has_body(request->kind)) {
                r = build_body(request, &body);
                if (r < 0)
                        return r;
        }
        tree = name->name ? wrap(name->name, body, !has_body(request->kind)) : body;
        if (tree && name->group) {
                struct json_object *inner = TAKE(tree);

                tree = wrap(name->group, inner, false);
        }
        if (!tree)
                return -ENOMEM;
        return json_text(tree, ret);
}
