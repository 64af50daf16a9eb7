/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "config/guid.h"
#include "config/json_writer.h"
#include "config/vm_config_json.h"

/* A file is named by its descriptor. */
static int add_file(struct json_object *object, const char *key, const char *fd_name) {
        char text[VM_FD_NAME_MAX + 4];

        if (!fd_name)
                return 0;
        (void) snprintf(text, sizeof(text), "fd:%s", fd_name);
        return json_add_string(object, key, text);
}

static int build_partition(const VmPartition *partition, struct json_object *array) {
        _cleanup_(json_freep) struct json_object *object = json_object_new_object();
        char guid[GUID_TEXT_SIZE];
        int r;

        if (!object)
                return -ENOMEM;
        r = json_add_string(object, "label", partition->label);
        if (r == 0)
                r = add_file(object, "path", partition->file);
        if (r == 0)
                r = json_add_bool(object, "writable", partition->writable);
        if (r == 0 && partition->has_guid) {
                guid_format(partition->guid, guid);
                r = json_add_string(object, "guid", guid);
        }
        return r < 0 ? r : json_append_consume(array, TAKE(object));
}

static int build_disk(const VmDisk *disk, struct json_object *array) {
        _cleanup_(json_freep) struct json_object *object = json_object_new_object();
        struct json_object *partitions;
        int r;

        if (!object)
                return -ENOMEM;
        r = add_file(object, "image", disk->image);
        if (r == 0 && disk->n_partitions > 0) {
                partitions = json_object_new_array();
                r = json_add_consume(object, "partitions", partitions);
                for (size_t i = 0; i < disk->n_partitions && r == 0; i++)
                        r = build_partition(&disk->partitions[i], partitions);
        }
        if (r == 0)
                r = json_add_bool(object, "writable", disk->writable);
        return r < 0 ? r : json_append_consume(array, TAKE(object));
}

static int build_disks(const VmConfig *config, struct json_object *object) {
        struct json_object *array = json_object_new_array();
        int r;

        r = json_add_consume(object, "disks", array);
        for (size_t i = 0; i < config->n_disks && r == 0; i++)
                r = build_disk(&config->disks[i], array);
        return r;
}

static int build_texts(const StrVec *texts, const char *key, struct json_object *object) {
        struct json_object *array = json_object_new_array();
        int r;

        r = json_add_consume(object, key, array);
        for (size_t i = 0; i < texts->n && r == 0; i++)
                r = json_append_consume(array, json_object_new_string(texts->items[i]));
        return r;
}

static int build_network(const VmNetwork *network, struct json_object *array) {
        _cleanup_(json_freep) struct json_object *object = json_object_new_object();
        char mac[MAC_TEXT_SIZE];
        int r = 0;

        if (!object)
                return -ENOMEM;
        mac_format(network->mac, mac);
        if (network->type != VM_NETWORK_ANY)
                r = json_add_string(object, "type",
                                    network->type == VM_NETWORK_BRIDGE ? "bridge" : "user");
        if (r == 0)
                r = json_add_string(object, "name", network->name);
        if (r == 0 && network->has_mac)
                r = json_add_string(object, "mac", mac);
        if (r == 0 && network->queues != 1)
                r = json_add_number(object, "queues", network->queues);
        if (r == 0 && network->isolated)
                r = json_add_bool(object, "isolated", true);
        if (r == 0 && network->forwards.n > 0)
                r = build_texts(&network->forwards, "forward", object);
        return r < 0 ? r : json_append_consume(array, TAKE(object));
}

static int build_networks(const VmConfig *config, struct json_object *object) {
        struct json_object *array = json_object_new_array();
        int r;

        r = json_add_consume(object, "network", array);
        for (size_t i = 0; i < config->n_networks && r == 0; i++)
                r = build_network(&config->networks[i], array);
        return r;
}

static int build_share(const VmShare *share, struct json_object *array) {
        _cleanup_(json_freep) struct json_object *object = json_object_new_object();
        int r;

        if (!object)
                return -ENOMEM;
        r = json_add_string(object, "tag", share->tag);
        if (r == 0)
                r = add_file(object, "path", share->path);
        if (r == 0)
                r = add_file(object, "socket", share->socket);
        if (r == 0 && share->path)
                r = json_add_number(object, "guest_uid", share->guest_uid);
        if (r == 0 && share->path)
                r = json_add_number(object, "guest_gid", share->guest_gid);
        return r < 0 ? r : json_append_consume(array, TAKE(object));
}

static int build_shares(const VmConfig *config, struct json_object *object) {
        struct json_object *array = json_object_new_array();
        int r;

        r = json_add_consume(object, "shared_paths", array);
        for (size_t i = 0; i < config->n_shares && r == 0; i++)
                r = build_share(&config->shares[i], array);
        return r;
}

static int build_cpus(const VmConfig *config, struct json_object *object) {
        switch (config->cpu_topology) {
        case VM_CPUS_COUNT:
                return json_add_number(object, "cpus", config->n_vcpus);
        case VM_CPUS_MATCH_HOST:
                return json_add_string(object, "cpu_topology", "match_host");
        }
        return -EINVAL;
}

/* Only what is limited: there is no number for "as the host has it". */
static int build_limits(const VmLimits *limits, struct json_object *object) {
        struct json_object *members;
        int r;

        if (memcmp(limits, &(VmLimits){0}, sizeof(*limits)) == 0)
                return 0;
        members = json_object_new_object();
        r = json_add_consume(object, "limits", members);
        for (size_t i = 0; i < vm_limits_n_fields && r == 0; i++) {
                const uint64_t *limit =
                        (const void *) ((const char *) limits + vm_limits_fields[i].offset);

                if (*limit > 0)
                        r = json_add_number(members, vm_limits_fields[i].key, *limit);
        }
        return r;
}

static int build_members(const VmConfig *config, struct json_object *object) {
        const bool ttys0 = config->console_input == VM_CONSOLE_INPUT_TTYS0;
        const bool full = config->debug_level == VM_DEBUG_FULL;
        int r;

        r = json_add_string(object, "name", config->name);
        if (r == 0)
                r = add_file(object, "kernel", config->kernel);
        if (r == 0)
                r = add_file(object, "initrd", config->initrd);
        if (r == 0)
                r = add_file(object, "bootloader", config->bootloader);
        if (r == 0)
                r = json_add_string(object, "params", config->params);
        if (r == 0)
                r = build_disks(config, object);
        if (r == 0 && config->n_shares > 0)
                r = build_shares(config, object);
        if (r == 0)
                r = json_add_number(object, "memory_mib", config->memory_mib);
        if (r == 0)
                r = build_cpus(config, object);
        if (r == 0)
                r = json_add_string(object, "platform_version", config->platform_version);
        if (r == 0)
                r = json_add_string(object, "console_input_device", ttys0 ? "ttyS0" : "hvc0");
        if (r == 0 && config->devices.n > 0)
                r = build_texts(&config->devices, "devices", object);
        if (r == 0 && config->n_networks > 0)
                r = build_networks(config, object);
        if (r == 0)
                r = json_add_string(object, "debug_level", full ? "full" : "none");
        if (r == 0 && config->gdb_port > 0)
                r = json_add_number(object, "gdb_port", config->gdb_port);
        if (r == 0)
                r = json_add_bool(object, "balloon", config->balloon);
        if (r == 0)
                r = json_add_bool(object, "auto_memory_balloon", config->auto_memory_balloon);
        if (r == 0 && config->vhost_vsock)
                r = json_add_string(object, "vsock", "vhost");
        if (r == 0)
                r = json_add_bool(object, "detect_hangup", config->detect_hangup);
        if (r == 0)
                r = json_add_bool(object, "ramdump", config->ramdump);
        if (r == 0)
                r = build_limits(&config->limits, object);
        return r;
}

/** vm_config_build() - a valid config as a tree, owned by the caller. Return: 0 or -ENOMEM. */
int vm_config_build(const VmConfig *config, struct json_object **ret) {
        _cleanup_(json_freep) struct json_object *object = json_object_new_object();
        int r;

        if (!object)
                return -ENOMEM;
        r = build_members(config, object);
        if (r < 0)
                return r;
        *ret = TAKE(object);
        return 0;
}

/**
 * vm_config_to_json() - the normalised form: defaults filled in, keys in the documented order
 * @config: valid
 * @ret:    owned by the caller
 *
 * Parsing it gives an equal config. Return: 0 or -ENOMEM.
 */
int vm_config_to_json(const VmConfig *config, char **ret) {
        _cleanup_(json_freep) struct json_object *object = NULL;
        const char *text;
        int r;

        r = vm_config_build(config, &object);
        if (r < 0)
                return r;
        text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                              JSON_C_TO_STRING_NOSLASHESCAPE);
        *ret = text ? strdup(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}
