/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vm_config_files.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "config/json_reader.h"
#include "config/json_writer.h"
#include "config/vm_config.h"

struct VmDraft {
        json_object *root; /* owned; an object */
};

/* Members that are a path by themselves. */
static const char *const file_keys[] = {"kernel", "initrd", "bootloader"};

/**
 * vm_draft_new() - parse the JSON a user wrote
 * @json: NULL for an empty config, to be filled by options alone
 * @ret:  owned by the caller, release with vm_draft_free()
 *
 * Return: 0; -EINVAL with "PATH: line L column C: …" in @reterr; -E2BIG over VM_CONFIG_JSON_MAX; -ENOMEM.
 */
int vm_draft_new(const char *json, VmDraft **ret, TextError *reterr) {
        _cleanup_(vm_draft_freep) VmDraft *draft = calloc(1, sizeof(*draft));
        int r;

        if (!draft)
                return -ENOMEM;
        r = json_parse(json ? json : "{}", VM_CONFIG_JSON_MAX, &draft->root, reterr);
        if (r < 0)
                return r;
        if (!json_object_is_type(draft->root, json_type_object))
                return text_error_set(reterr, -EINVAL, "config: expected an object");
        *ret = TAKE(draft);
        return 0;
}

/** vm_draft_free() - release @draft, which may be NULL. Return: NULL. */
VmDraft *vm_draft_free(VmDraft *draft) {
        if (!draft)
                return NULL;
        json_object_put(draft->root);
        free(draft);
        return NULL;
}

/** vm_draft_string() - the string member @key, borrowed until the draft changes, or NULL */
const char *vm_draft_string(const VmDraft *draft, const char *key) {
        json_object *member = json_object_object_get(draft->root, key);

        return json_object_is_type(member, json_type_string) ? json_object_get_string(member)
                                                             : NULL;
}

/** vm_draft_set_string() - set or replace a string member. Return: 0 or -ENOMEM. */
int vm_draft_set_string(VmDraft *draft, const char *key, const char *value) {
        return json_add_string(draft->root, key, value);
}

/** vm_draft_set_uint() - set or replace a number. Return: 0 or -ENOMEM. */
int vm_draft_set_uint(VmDraft *draft, const char *key, uint64_t value) {
        return json_add_consume(draft->root, key, json_object_new_uint64(value));
}

/** vm_draft_unset() - remove the member @key if it is there */
void vm_draft_unset(VmDraft *draft, const char *key) {
        json_object_object_del(draft->root, key);
}

/* The array member @key, made if it is not there. Return: 0; -EINVAL; -ENOMEM. */
static int find_array(VmDraft *draft, const char *key, json_object **ret, TextError *reterr) {
        json_object *array = json_object_object_get(draft->root, key);
        int r;

        if (!array) {
                array = json_object_new_array();
                r = json_add_consume(draft->root, key, array);
                if (r < 0)
                        return r;
        }
        if (!json_object_is_type(array, json_type_array))
                return text_error_set(reterr, -EINVAL, "%s: expected an array", key);
        *ret = array;
        return 0;
}

/**
 * vm_draft_add_disk() - append a disk with one image to "disks"
 *
 * Return: 0; -EINVAL when the file's "disks" is no array; -ENOMEM.
 */
int vm_draft_add_disk(VmDraft *draft, const char *path, bool writable, TextError *reterr) {
        _cleanup_(json_freep) json_object *disk = NULL;
        json_object *disks = NULL;
        int r = find_array(draft, "disks", &disks, reterr);

        if (r < 0)
                return r;
        disk = json_object_new_object();
        if (!disk)
                return -ENOMEM;
        r = json_add_string(disk, "image", path);
        if (r >= 0)
                r = json_add_bool(disk, "writable", writable);
        return r < 0 ? r : json_append_consume(disks, TAKE(disk));
}

/**
 * vm_draft_add_share() - append a directory to "shared_paths"
 *
 * Return: as vm_draft_add_disk().
 */
int vm_draft_add_share(VmDraft *draft, const char *tag, const char *path, TextError *reterr) {
        _cleanup_(json_freep) json_object *share = NULL;
        json_object *shares = NULL;
        int r = find_array(draft, "shared_paths", &shares, reterr);

        if (r < 0)
                return r;
        share = json_object_new_object();
        if (!share)
                return -ENOMEM;
        r = json_add_string(share, "tag", tag);
        if (r >= 0)
                r = json_add_string(share, "path", path);
        return r < 0 ? r : json_append_consume(shares, TAKE(share));
}

/** vm_draft_add_device() - append a function of the host to "devices". Return: as vm_draft_add_disk(). */
int vm_draft_add_device(VmDraft *draft, const char *path, TextError *reterr) {
        json_object *devices = NULL;
        int r = find_array(draft, "devices", &devices, reterr);

        return r < 0 ? r : json_append_consume(devices, json_object_new_string(path));
}

/**
 * vm_draft_set_network() - replace "network" by one card
 * @text: "none" for no card, "user" or "bridge" for one of that type, else the name of the service's network
 *
 * Return: 0 or -ENOMEM.
 */
int vm_draft_set_network(VmDraft *draft, const char *text) {
        json_object *network;
        int r;

        if (str_eq(text, "none"))
                return json_add_bool(draft->root, "network", false);
        network = json_object_new_object();
        if (!network)
                return -ENOMEM;
        r = str_eq(text, "user")     ? json_add_string(network, "type", "user")
            : str_eq(text, "bridge") ? json_add_string(network, "type", "bridge")
                                     : json_add_string(network, "name", text);
        if (r < 0) {
                json_object_put(network);
                return r;
        }
        return json_add_consume(draft->root, "network", network);
}

typedef struct FileWalk {
        VmDraftFileFn fn;
        void *userdata;
        TextError *reterr;
} FileWalk;

/* Hands the path in @object's member @key out and puts "fd:@fd_name" in its place; absent is fine. */
static int take_file(const FileWalk *walk, json_object *object, const char *key,
                     const char *json_path, const char *fd_name, VmFileKind kind) {
        json_object *member;
        const char *path;
        char reference[64];
        int r;

        if (!json_object_object_get_ex(object, key, &member) || !member)
                return 0;
        if (!json_object_is_type(member, json_type_string))
                return text_error_set(walk->reterr, -EINVAL, "%s: expected the path of a file",
                                      json_path);
        path = json_object_get_string(member);
        if (!*path)
                return text_error_set(walk->reterr, -EINVAL, "%s: expected the path of a file",
                                      json_path);
        if (str_after_prefix(path, "fd:"))
                return text_error_set(walk->reterr, -EINVAL,
                                      "%s: \"%s\" names a descriptor; expected the path of a file "
                                      "(\"./%s\" for a file of that name)",
                                      json_path, path, path);
        r = walk->fn(walk->userdata, json_path, fd_name, path, kind, walk->reterr);
        if (r < 0)
                return r;
        (void) snprintf(reference, sizeof(reference), "fd:%s", fd_name);
        return json_add_string(object, key, reference);
}

static int take_folders(const FileWalk *walk, json_object *root) {
        json_object *shares = json_object_object_get(root, "shared_paths");
        size_t n =
                json_object_is_type(shares, json_type_array) ? json_object_array_length(shares) : 0;

        for (size_t i = 0; i < n; i++) {
                json_object *share = json_object_array_get_idx(shares, i);
                char json_path[64], fd_name[48];
                int r;

                if (!json_object_is_type(share, json_type_object))
                        continue;
                (void) snprintf(json_path, sizeof(json_path), "shared_paths[%zu].path", i);
                (void) snprintf(fd_name, sizeof(fd_name), "share%zu", i);
                r = take_file(walk, share, "path", json_path, fd_name, VM_FILE_FOLDER);
                if (r < 0)
                        return r;
                (void) snprintf(json_path, sizeof(json_path), "shared_paths[%zu].socket", i);
                (void) snprintf(fd_name, sizeof(fd_name), "share%zu-socket", i);
                r = take_file(walk, share, "socket", json_path, fd_name, VM_FILE_SOCKET);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool member_is_true(json_object *object, const char *key) {
        json_object *member = json_object_object_get(object, key);

        return json_object_is_type(member, json_type_boolean) && json_object_get_boolean(member);
}

static VmFileKind kind_of(json_object *object) {
        return member_is_true(object, "writable") ? VM_FILE_WRITE : VM_FILE_READ;
}

static int take_partitions(const FileWalk *walk, json_object *disk, size_t disk_index) {
        json_object *partitions = json_object_object_get(disk, "partitions");
        size_t n = json_object_is_type(partitions, json_type_array)
                           ? json_object_array_length(partitions)
                           : 0;

        for (size_t i = 0; i < n; i++) {
                json_object *partition = json_object_array_get_idx(partitions, i);
                char json_path[96], fd_name[64];
                int r;

                if (!json_object_is_type(partition, json_type_object))
                        continue; /* the service names what is wrong with it */
                (void) snprintf(json_path, sizeof(json_path), "disks[%zu].partitions[%zu].path",
                                disk_index, i);
                (void) snprintf(fd_name, sizeof(fd_name), "disk%zu-part%zu", disk_index, i);
                r = take_file(walk, partition, "path", json_path, fd_name, kind_of(partition));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_disks(const FileWalk *walk, json_object *root) {
        json_object *disks = json_object_object_get(root, "disks");
        size_t n =
                json_object_is_type(disks, json_type_array) ? json_object_array_length(disks) : 0;

        for (size_t i = 0; i < n; i++) {
                json_object *disk = json_object_array_get_idx(disks, i);
                char json_path[64], fd_name[32];
                int r;

                if (!json_object_is_type(disk, json_type_object))
                        continue;
                (void) snprintf(json_path, sizeof(json_path), "disks[%zu].image", i);
                (void) snprintf(fd_name, sizeof(fd_name), "disk%zu", i);
                r = take_file(walk, disk, "image", json_path, fd_name, kind_of(disk));
                if (r >= 0)
                        r = take_partitions(walk, disk, i);
                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * vm_draft_take_files() - hand every path to @fn and put "fd:NAME" in its place
 *
 * Return: 0; -EINVAL with the JSON path in @reterr; what @fn returned; -ENOMEM. After a failure some members are
 * rewritten and some are not: release the draft.
 */
int vm_draft_take_files(VmDraft *draft, VmDraftFileFn fn, void *userdata, TextError *reterr) {
        FileWalk walk = {.fn = fn, .userdata = userdata, .reterr = reterr};
        int r;

        for (size_t i = 0; i < ELEMENTSOF(file_keys); i++) {
                r = take_file(&walk, draft->root, file_keys[i], file_keys[i], file_keys[i],
                              VM_FILE_READ);

                if (r < 0)
                        return r;
        }
        r = take_disks(&walk, draft->root);
        return r < 0 ? r : take_folders(&walk, draft->root);
}

/** vm_draft_to_json() - the text for CreateVm, or for a person when @pretty; owned by the caller. Return: 0 or -ENOMEM. */
int vm_draft_to_json(const VmDraft *draft, bool pretty, char **ret) {
        int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
                    (pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
                            : JSON_C_TO_STRING_PLAIN);
        const char *text = json_object_to_json_string_ext(draft->root, flags);
        char *copy = text ? strdup(text) : NULL;

        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}
