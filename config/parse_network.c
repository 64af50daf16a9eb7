/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "config/crosvm_net_flags.h"
#include "config/vm_config_json.h"

static int read_type(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        static const char *const names[] = {"bridge", "user"};
        VmNetwork *network = object;
        unsigned which;
        int r;

        r = json_read_choice(value, names, ELEMENTSOF(names), &which, reterr);
        if (r < 0)
                return r;
        network->type = which == 0 ? VM_NETWORK_BRIDGE : VM_NETWORK_USER;
        return 0;
}

static int read_name(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        VmNetwork *network = object;
        const char *text;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        if (!vm_network_name_is_valid(text))
                return json_error(value, reterr, "expected 1 to %u of a-z 0-9 -",
                                  VM_NETWORK_NAME_MAX);
        network->name = strdup(text);
        return network->name ? 0 : -ENOMEM;
}

static int read_mac(const JsonValue *value, const JsonField *field, void *object,
                    TextError *reterr) {
        VmNetwork *network = object;
        const char *text;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        if (!mac_parse(text, network->mac) || !mac_is_of_a_card(network->mac))
                return json_error(value, reterr,
                                  "expected the address of one card as 02:00:00:00:00:01, not "
                                  "\"%.*s\"",
                                  JSON_SHOWN(text));
        network->has_mac = true;
        return 0;
}

static int read_queues(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        int64_t n;
        int r = json_read_i64(value, 1, VM_NETWORK_QUEUES_MAX, &n, reterr);

        if (r < 0)
                return r;
        ((VmNetwork *) object)->queues = (unsigned) n;
        return 0;
}

static int read_isolated(const JsonValue *value, const JsonField *field, void *object,
                         TextError *reterr) {
        return json_read_bool(value, &((VmNetwork *) object)->isolated, reterr);
}

static int read_forward(const JsonValue *value, void *object, TextError *reterr) {
        VmNetwork *network = object;
        VmmForward forward = {0};
        const char *text;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        r = crosvm_forward_parse(text, &forward);
        free(forward.address);
        if (r == -EINVAL)
                return json_error(value, reterr,
                                  "expected tcp:HOST:GUEST, udp:HOST:GUEST, or an address before "
                                  "HOST, not \"%.*s\"",
                                  JSON_SHOWN(text));
        return r < 0 ? r : strvec_add(&network->forwards, text);
}

static int read_forwards(const JsonValue *value, const JsonField *field, void *object,
                         TextError *reterr) {
        return json_read_array(value, VM_FORWARDS_MAX, read_forward, object, reterr);
}

const JsonField vm_network_fields[] = {
        {"type", read_type},     {"name", read_name},         {"mac", read_mac},
        {"queues", read_queues}, {"isolated", read_isolated}, {"forward", read_forwards},
};
const size_t vm_network_n_fields = ELEMENTSOF(vm_network_fields);

static int read_network(const JsonValue *value, void *object, TextError *reterr) {
        VmConfig *config = object;
        VmNetwork *network = &config->networks[config->n_networks++];

        *network = (VmNetwork){.type = VM_NETWORK_ANY, .queues = 1};
        return json_read_object(value, vm_network_fields, vm_network_n_fields, network, reterr);
}

/** vm_networks_read() - the member "network" of a VmConfig: true, false, one card, or an array of them */
int vm_networks_read(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        VmConfig *config = object;
        bool on;
        int r;

        if (json_object_is_type(value->json, json_type_boolean)) {
                r = json_read_bool(value, &on, reterr);
                if (r < 0 || !on)
                        return r;
        }
        config->networks = calloc(VM_NETWORKS_MAX, sizeof(*config->networks));
        if (!config->networks)
                return -ENOMEM;
        if (json_object_is_type(value->json, json_type_boolean)) {
                config->networks[config->n_networks++] =
                        (VmNetwork){.type = VM_NETWORK_ANY, .queues = 1};
                return 0;
        }
        if (json_object_is_type(value->json, json_type_object))
                return read_network(value, config, reterr);
        if (!json_object_is_type(value->json, json_type_array))
                return json_error(value, reterr, "expected true, false, an object or an array");
        return json_read_array(value, VM_NETWORKS_MAX, read_network, config, reterr);
}
