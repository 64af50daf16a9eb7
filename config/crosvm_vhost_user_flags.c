/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_vhost_user_flags.h"

#include <errno.h>
#include <string.h>

#include "config/crosvm_pci_flags.h"

/* The first key of --vhost-user. Folders have a type of their own. */
#define TYPE_FOLDER VMM_VHOST_USER_TYPES

#define MEDIA "no display, GPU, input, camera or sound device yet"
#define DRIVER(what) "Linux has no driver for " what

/* What the keys say, before it is known what the type makes of it. */
typedef struct Draft {
        VmmVhostUser device;
        unsigned type; /* VmmVhostUserType, TYPE_FOLDER, or more: not given */
} Draft;

static void draft_deinit(Draft *draft) {
        vmm_vhost_user_deinit(&draft->device);
}

/* What crosvm knows besides, and why not. */
static const struct {
        const char *name, *reason;
} refused[] = {
        {"9p", "no process is known that serves it; see fs"},
        {"balloon", "only the VMM can give memory back to the host"},
        {"gpu", MEDIA},
        {"input", MEDIA},
        {"iommu", "guests get no virtio-iommu"},
        {"mac80211-hwsim", "Debian's kernels for virtual machines have no wireless networks"},
        {"media", MEDIA},
        {"pmem", "its memory would be the process's, which guests cannot map; see --pmem"},
        {"pvclock", DRIVER("virtio-pvclock")},
        {"scmi", "of the firmware of Arm processors"},
        {"scsi", "not seen with any process; see --scsi-block"},
        {"sound", MEDIA},
        {"tpm", DRIVER("virtio-tpm")},
        {"video-decoder", MEDIA},
        {"video-encoder", MEDIA},
        {"wl", DRIVER("virtio-wl")},
};

static int set_type(void *object, const KvItem *item, TextError *reterr) {
        const char *name = item->value ?: "";
        Draft *draft = object;

        for (draft->type = 0; draft->type < VMM_VHOST_USER_TYPES; draft->type++)
                if (strcmp(name, vmm_vhost_user_type_names[draft->type]) == 0)
                        return 0;
        if (strcmp(name, "fs") == 0)
                return 0; /* TYPE_FOLDER */
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (strcmp(name, refused[i].name) == 0)
                        return text_error_set(reterr, -EINVAL,
                                              "%s: crosvm type, not supported by this version: %s",
                                              name, refused[i].reason);
        return text_error_set(reterr, -EINVAL,
                              "expected block, console, fs, net, rng or vsock, not '%s'", name);
}

static int set_socket(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((Draft *) object)->device.socket, reterr);
}

/** crosvm_queue_size_set() - the key max-queue-size= of a device */
int crosvm_queue_size_set(const KvItem *item, unsigned *ret, TextError *reterr) {
        uint64_t value;
        int r;

        r = kv_get_u64(item, VMM_VHOST_USER_QUEUE_MIN, VMM_VHOST_USER_QUEUE_MAX, &value, reterr);
        if (r < 0)
                return r;
        if (value & (value - 1))
                return text_error_set(reterr, -EINVAL, "expected a power of two");
        *ret = (unsigned) value;
        return 0;
}

/** crosvm_queue_size_append() - add max-queue-size= to a comma list that has items, unless @size is 0 */
void crosvm_queue_size_append(StrBuf *buf, unsigned size) {
        if (size > 0)
                strbuf_printf(buf, ",max-queue-size=%u", size);
}

static int set_queue_size(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_queue_size_set(item, &((Draft *) object)->device.max_queue_size, reterr);
}

static int set_address(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_pci_address_set(item, &((Draft *) object)->device.pci_slot, reterr);
}

static const KvField fields[] = {
        {"socket", set_socket, 0},
        {"max-queue-size", set_queue_size, 0},
        {"pci-address", set_address, 0},
        {"type", set_type, 0}, /* last: older spellings do not have it */
};

static int add_folder(VmmConfig *config, VmmVhostUser *device, TextError *reterr) {
        VmmFolder *folder = &config->folders[config->n_folders];

        if (config->n_folders >= VMM_FOLDERS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u folders", VMM_FOLDERS_MAX);
        config->n_folders++;
        vmm_folder_init(folder);
        folder->tag_told = true;
        folder->socket = TAKE(device->socket);
        folder->max_queue_size = device->max_queue_size;
        folder->pci_slot = device->pci_slot;
        return 0;
}

static int add_device(VmmConfig *config, VmmVhostUser *device, VmmVhostUserType type,
                      TextError *reterr) {
        if (config->n_vhost_users >= VMM_VHOST_USERS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u devices", VMM_VHOST_USERS_MAX);
        device->type = type;
        config->vhost_users[config->n_vhost_users++] = *device;
        *device = (VmmVhostUser){0};
        return 0;
}

/** crosvm_vhost_user_parse() - add the device or folder that one --vhost-user value describes */
int crosvm_vhost_user_parse(VmmConfig *config, const char *value, TextError *reterr) {
        _cleanup_(draft_deinit) Draft draft = {.type = TYPE_FOLDER + 1};
        int r;

        r = kv_apply(value, "type", fields, ELEMENTSOF(fields), &draft, reterr);
        if (r < 0)
                return r;
        if (draft.type > TYPE_FOLDER)
                return text_error_set(reterr, -EINVAL, "type= is needed");
        return draft.type == TYPE_FOLDER
                       ? add_folder(config, &draft.device, reterr)
                       : add_device(config, &draft.device, (VmmVhostUserType) draft.type, reterr);
}

static int parse_old(VmmConfig *config, const char *value, VmmVhostUserType type,
                     TextError *reterr) {
        _cleanup_(draft_deinit) Draft draft = {0};
        int r;

        r = kv_apply(value, "socket", fields, ELEMENTSOF(fields) - 1, &draft, reterr);
        return r < 0 ? r : add_device(config, &draft.device, type, reterr);
}

/** crosvm_vhost_user_blk_parse() - --vhost-user-blk, as crosvm had it until April 2025; so the next three */
int crosvm_vhost_user_blk_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_old(config, value, VMM_VHOST_USER_BLOCK, reterr);
}

/** crosvm_vhost_user_console_parse() - --vhost-user-console */
int crosvm_vhost_user_console_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_old(config, value, VMM_VHOST_USER_CONSOLE, reterr);
}

/** crosvm_vhost_user_net_parse() - --vhost-user-net */
int crosvm_vhost_user_net_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_old(config, value, VMM_VHOST_USER_NET, reterr);
}

/** crosvm_vhost_user_vsock_parse() - --vhost-user-vsock */
int crosvm_vhost_user_vsock_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_old(config, value, VMM_VHOST_USER_VSOCK, reterr);
}

/** crosvm_vhost_user_timeout_parse() - --vhost-user-connect-timeout-ms */
int crosvm_vhost_user_timeout_parse(VmmConfig *config, const char *value, TextError *reterr) {
        uint64_t ms;

        if (parse_u64(value, &ms) < 0 || ms > VMM_VHOST_USER_TIMEOUT_MS_MAX)
                return text_error_set(reterr, -EINVAL, "expected up to %u, not '%s'",
                                      VMM_VHOST_USER_TIMEOUT_MS_MAX, value);
        config->vhost_user_timeout_ms = (uint32_t) ms;
        return 0;
}

/** crosvm_vhost_user_emit() - the --vhost-user value of one device */
int crosvm_vhost_user_emit(const VmmVhostUser *device, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_printf(&buf, "type=%s", vmm_vhost_user_type_names[device->type]);
        kv_append(&buf, "socket", device->socket);
        crosvm_queue_size_append(&buf, device->max_queue_size);
        crosvm_pci_address_append(&buf, device->pci_slot);
        return strbuf_finish(&buf, ret);
}
