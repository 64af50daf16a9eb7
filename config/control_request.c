/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "config/control_body.h"
#include "config/json_reader.h"
#include "config/json_writer.h"

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

static int set_unsupported(ControlReading *reading, const char *group, const char *name) {
        int n = group ? asprintf(&reading->request.text, "%s.%.*s", group, JSON_SHOWN(name))
                      : asprintf(&reading->request.text, "%s", name);

        if (n < 0) {
                reading->request.text = NULL;
                return -ENOMEM;
        }
        reading->request.kind = CONTROL_UNSUPPORTED;
        return 0;
}

static int read_request(const JsonValue *root, ControlReading *reading, TextError *reterr) {
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
        if (control_body_exists(reading->request.kind))
                return control_body_read(&body, reading, reterr);
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
        ControlReading reading = {.request.fd_index = -1, .n_fds = n_fds};
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
        if (control_body_exists(request->kind)) {
                r = control_body_build(request, &body);
                if (r < 0)
                        return r;
        }
        tree = name->name ? wrap(name->name, body, !control_body_exists(request->kind)) : body;
        if (tree && name->group) {
                struct json_object *inner = TAKE(tree);

                tree = wrap(name->group, inner, false);
        }
        if (!tree)
                return -ENOMEM;
        return json_text(tree, ret);
}
