/* SPDX-License-Identifier: Apache-2.0 */
#include "config/net_message.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/json_reader.h"
#include "config/json_writer.h"

static const char *const kind_names[] = {
        [NET_REQUEST_TAP] = "tap",
        [NET_REQUEST_RELEASE] = "release",
};

static int build_tap(const NetRequest *request, struct json_object *object) {
        int r;

        r = json_add_string(object, "vm_name", request->vm_name);
        if (r == 0)
                r = json_add_string(object, "network", request->network);
        if (r == 0)
                r = json_add_number(object, "cid", request->cid);
        if (r == 0)
                r = json_add_number(object, "index", request->index);
        if (r == 0)
                r = json_add_number(object, "queues", request->queues);
        if (r == 0)
                r = json_add_bool(object, "isolated", request->isolated);
        return r;
}

/** net_request_format() - the packet of a request; owned by the caller. Return: 0 or -ENOMEM. */
int net_request_format(const NetRequest *request, char **ret) {
        _cleanup_(json_freep) struct json_object *object = json_object_new_object();
        int r;

        if (!object)
                return -ENOMEM;
        r = json_add_string(object, "request", kind_names[request->kind]);
        if (r == 0)
                r = json_add_string(object, "vm_id", request->vm_id);
        if (r == 0 && request->kind == NET_REQUEST_TAP)
                r = build_tap(request, object);
        return r < 0 ? r : json_text(object, ret);
}

/* ---- reading ---- */

static int read_kind(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        unsigned which;
        int r = json_read_choice(value, kind_names, ELEMENTSOF(kind_names), &which, reterr);

        if (r < 0)
                return r;
        ((NetRequest *) object)->kind = (NetRequestKind) which;
        return 0;
}

/* field->data is the size of the array at field->offset. */
static int read_text(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        char *member = (char *) object + field->offset;
        const char *text;
        int r = json_read_string(value, &text, reterr);

        if (r < 0)
                return r;
        if (strlen(text) >= field->data)
                return json_error(value, reterr, "expected at most %u bytes", field->data - 1);
        memcpy(member, text, strlen(text) + 1);
        return 0;
}

/* field->data is the greatest one. */
static int read_number(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        int64_t number;
        int r = json_read_i64(value, 0, field->data, &number, reterr);

        if (r < 0)
                return r;
        *(uint32_t *) (void *) ((char *) object + field->offset) = (uint32_t) number;
        return 0;
}

static int read_isolated(const JsonValue *value, const JsonField *field, void *object,
                         TextError *reterr) {
        return json_read_bool(value, &((NetRequest *) object)->isolated, reterr);
}

static bool is_vm_id(const char *text) {
        return strlen(text) == NET_VM_ID_LEN && strspn(text, "0123456789abcdef") == NET_VM_ID_LEN;
}

static int check_request(const NetRequest *request, TextError *reterr) {
        if (!is_vm_id(request->vm_id))
                return text_error_set(reterr, -EINVAL, "vm_id: expected %u hexadecimal digits",
                                      NET_VM_ID_LEN);
        if (request->kind == NET_REQUEST_RELEASE)
                return 0;
        if (!vm_name_is_valid(request->vm_name))
                return text_error_set(reterr, -EINVAL, "vm_name: expected the name of a VM");
        if (!vm_network_name_is_valid(request->network))
                return text_error_set(reterr, -EINVAL, "network: expected the name of a network");
        if (request->queues == 0)
                return text_error_set(reterr, -EINVAL, "queues: expected 1 to %u",
                                      VM_NETWORK_QUEUES_MAX);
        return 0;
}

/**
 * net_request_parse() - the request in a packet
 *
 * Return: 0; -EINVAL or -E2BIG with a sentence; -ENOMEM.
 */
int net_request_parse(const char *json, NetRequest *ret, TextError *reterr) {
        static const JsonField fields[] = {
                {"request", read_kind},
                {"vm_id", read_text, offsetof(NetRequest, vm_id), sizeof(ret->vm_id)},
                {"vm_name", read_text, offsetof(NetRequest, vm_name), sizeof(ret->vm_name)},
                {"network", read_text, offsetof(NetRequest, network), sizeof(ret->network)},
                {"cid", read_number, offsetof(NetRequest, cid), UINT32_MAX},
                {"index", read_number, offsetof(NetRequest, index), VM_NETWORKS_MAX - 1},
                {"queues", read_number, offsetof(NetRequest, queues), VM_NETWORK_QUEUES_MAX},
                {"isolated", read_isolated},
        };
        _cleanup_(json_freep) struct json_object *tree = NULL;
        NetRequest request = {0};
        int r;

        r = json_parse(json, NET_MESSAGE_MAX, &tree, reterr);
        if (r == 0 && !json_has_member(&(JsonValue){tree, ""}, "request"))
                r = text_error_set(reterr, -EINVAL, "request: is missing");
        if (r == 0)
                r = json_read_object(&(JsonValue){tree, ""}, fields, ELEMENTSOF(fields), &request,
                                     reterr);
        if (r == 0)
                r = check_request(&request, reterr);
        if (r < 0)
                return r;
        *ret = request;
        return 0;
}

/** net_answer_format() - the packet of an answer; owned by the caller. Return: 0 or -ENOMEM. */
int net_answer_format(const NetAnswer *answer, char **ret) {
        _cleanup_(json_freep) struct json_object *object = json_object_new_object();
        int r;

        if (!object)
                return -ENOMEM;
        if (answer->error)
                r = json_add_string(object, "error", answer->error);
        else {
                r = json_add_string(object, "interface", answer->interface);
                if (r == 0)
                        r = json_add_number(object, "ifindex", answer->ifindex);
        }
        return r < 0 ? r : json_text(object, ret);
}

static int read_error(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        NetAnswer *answer = object;
        const char *text;
        int r = json_read_string(value, &text, reterr);

        if (r < 0)
                return r;
        answer->error = strdup(text);
        return answer->error ? 0 : -ENOMEM;
}

/**
 * net_answer_parse() - the answer in a packet
 * @ret: release with net_answer_deinit()
 *
 * Return: 0; -EINVAL or -E2BIG with a sentence; -ENOMEM.
 */
int net_answer_parse(const char *json, NetAnswer *ret, TextError *reterr) {
        static const JsonField fields[] = {
                {"error", read_error},
                {"interface", read_text, offsetof(NetAnswer, interface), sizeof(ret->interface)},
                {"ifindex", read_number, offsetof(NetAnswer, ifindex), INT32_MAX},
        };
        _cleanup_(json_freep) struct json_object *tree = NULL;
        _cleanup_(net_answer_deinit) NetAnswer answer = {0};
        int r;

        r = json_parse(json, NET_MESSAGE_MAX, &tree, reterr);
        if (r == 0)
                r = json_read_object(&(JsonValue){tree, ""}, fields, ELEMENTSOF(fields), &answer,
                                     reterr);
        if (r < 0)
                return r;
        *ret = answer;
        answer = (NetAnswer){0};
        return 0;
}

/** net_answer_deinit() - release what it owns */
void net_answer_deinit(NetAnswer *answer) {
        free(answer->error);
        *answer = (NetAnswer){0};
}
