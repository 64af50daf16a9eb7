/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/crosvm_device_flags.h"
#include "config/crosvm_pci_flags.h"
#include "config/kv_list.h"

#define DISK_ID_MAX 20u /* VIRTIO_BLK_ID_BYTES */

/* --block */

static int set_block_path(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmDisk *) object)->path, reterr);
}

static int set_block_ro(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmDisk *) object)->read_only, reterr);
}

static int set_block_root(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmDisk *) object)->root, reterr);
}

static int set_block_sparse(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmDisk *) object)->sparse, reterr);
}

static int set_block_direct(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmDisk *) object)->direct, reterr);
}

static int set_block_dontcache(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmDisk *) object)->dontcache, reterr);
}

static int set_block_workers(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmDisk *) object)->multiple_workers, reterr);
}

static int set_block_lock(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmDisk *) object)->lock, reterr);
}

static int set_block_packed(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmDisk *) object)->packed, reterr);
}

static int set_block_size(void *object, const KvItem *item, TextError *reterr) {
        VmmDisk *disk = object;
        uint64_t size;
        int r;

        r = kv_get_u64(item, 512, 4096, &size, reterr);
        if (r < 0)
                return r;
        if ((size & (size - 1)) != 0)
                return text_error_set(reterr, -EINVAL, "expected a power of two, not '%s'",
                                      item->value);
        disk->block_size = (unsigned) size;
        return 0;
}

static int set_block_id(void *object, const KvItem *item, TextError *reterr) {
        VmmDisk *disk = object;
        int r;

        r = kv_get_string(item, &disk->id, reterr);
        if (r < 0)
                return r;
        if (strlen(disk->id) > DISK_ID_MAX)
                return text_error_set(reterr, -EINVAL, "expected at most %u bytes, not '%s'",
                                      DISK_ID_MAX, item->value);
        for (const char *p = disk->id; *p; p++)
                if (*p < 0x20 || *p > 0x7e)
                        return text_error_set(reterr, -EINVAL, "expected printable ASCII");
        return 0;
}

static int set_block_boot_index(void *object, const KvItem *item, TextError *reterr) {
        uint64_t index;
        int r;

        r = kv_get_u64(item, 0, VMM_BOOT_INDEX_MAX, &index, reterr);
        if (r < 0)
                return r;
        ((VmmDisk *) object)->boot_index = (int) index;
        return 0;
}

static int set_block_address(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_pci_address_set(item, &((VmmDisk *) object)->pci_slot, reterr);
}

/* ---- --async-executor, and the key of the same name ---- */

static const char *const executors[] = {
        [VMM_EXECUTOR_EPOLL] = "epoll",
        [VMM_EXECUTOR_URING] = "uring",
};

static int find_executor(const char *name, VmmExecutor *ret, TextError *reterr) {
        for (unsigned i = VMM_EXECUTOR_EPOLL; i < ELEMENTSOF(executors); i++)
                if (name && str_eq(name, executors[i])) {
                        *ret = (VmmExecutor) i;
                        return 0;
                }
        return text_error_set(reterr, -EINVAL, "expected epoll or uring, not '%s'", name ?: "");
}

/** crosvm_executor_parse() - "epoll" or "uring" */
int crosvm_executor_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return find_executor(value, &config->executor, reterr);
}

/** crosvm_executor_to_string() - crosvm's name of @executor; NULL for VMM_EXECUTOR_ANY, which has none */
const char *crosvm_executor_to_string(VmmExecutor executor) {
        return executors[executor];
}

static int set_block_executor(void *object, const KvItem *item, TextError *reterr) {
        return find_executor(item->value, &((VmmDisk *) object)->executor, reterr);
}

static const KvField block_fields[] = {
        {"path", set_block_path},
        {"ro", set_block_ro},
        {"root", set_block_root},
        {"sparse", set_block_sparse},
        {"direct", set_block_direct},
        {"lock", set_block_lock},
        {"block-size", set_block_size},
        {"id", set_block_id},
        {"async-executor", set_block_executor},
        {"packed-queue", set_block_packed},
        {"multiple-workers", set_block_workers},
        {"bootindex", set_block_boot_index},
        {"pci-address", set_block_address},
        {"dontcache", set_block_dontcache},
};

/* Reads @value into the first of @disks that is free. */
static int add_disk(const char *value, const KvField *fields, size_t n_fields, VmmDisk *disks,
                    size_t *n_disks, TextError *reterr) {
        _cleanup_(vmm_disk_deinit) VmmDisk disk;
        int r;

        vmm_disk_init(&disk);
        r = kv_apply(value, "path", fields, n_fields, &disk, reterr);
        if (r < 0)
                return r;
        disks[(*n_disks)++] = disk;
        disk = (VmmDisk){0};
        return 0;
}

/** crosvm_block_parse() - add the disk that one --block value describes */
int crosvm_block_parse(VmmConfig *config, const char *value, TextError *reterr) {
        if (config->n_disks >= VMM_DISKS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u disks", VMM_DISKS_MAX);
        return add_disk(value, block_fields, ELEMENTSOF(block_fields), config->disks,
                        &config->n_disks, reterr);
}

/** crosvm_block_emit() - the --block value of one disk; defaults are left out, except the one that guards data */
int crosvm_block_emit(const VmmDisk *disk, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        kv_append(&buf, "path", disk->path);
        kv_append(&buf, "ro", disk->read_only ? "true" : "false");
        if (disk->root)
                kv_append_flag(&buf, "root");
        if (!disk->sparse)
                kv_append(&buf, "sparse", "false");
        if (disk->direct)
                kv_append_flag(&buf, "direct");
        if (disk->dontcache)
                kv_append_flag(&buf, "dontcache");
        if (disk->multiple_workers)
                kv_append_flag(&buf, "multiple-workers");
        if (!disk->lock)
                kv_append(&buf, "lock", "false");
        if (disk->packed)
                kv_append_flag(&buf, "packed-queue");
        if (disk->block_size != 512)
                strbuf_printf(&buf, ",block-size=%u", disk->block_size);
        if (disk->id)
                kv_append(&buf, "id", disk->id);
        crosvm_pci_address_append(&buf, disk->pci_slot);
        if (disk->boot_index >= 0)
                strbuf_printf(&buf, ",bootindex=%d", disk->boot_index);
        if (disk->executor != VMM_EXECUTOR_ANY)
                kv_append(&buf, "async-executor", crosvm_executor_to_string(disk->executor));
        return strbuf_finish(&buf, ret);
}

/* --scsi-block; id= and bootindex= are ours */

static const KvField scsi_fields[] = {
        {"path", set_block_path},
        {"ro", set_block_ro},
        {"root", set_block_root},
        {"lock", set_block_lock},
        {"block-size", set_block_size},
        {"id", set_block_id},
        {"bootindex", set_block_boot_index},
};

/** crosvm_scsi_block_parse() - add the SCSI disk that one --scsi-block value describes */
int crosvm_scsi_block_parse(VmmConfig *config, const char *value, TextError *reterr) {
        if (config->n_scsi_disks >= VMM_SCSI_DISKS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u disks", VMM_SCSI_DISKS_MAX);
        if (!config->scsi_disks)
                config->scsi_disks = calloc(VMM_SCSI_DISKS_MAX, sizeof(VmmDisk));
        if (!config->scsi_disks)
                return -ENOMEM;
        return add_disk(value, scsi_fields, ELEMENTSOF(scsi_fields), config->scsi_disks,
                        &config->n_scsi_disks, reterr);
}

/** crosvm_scsi_block_emit() - the --scsi-block value of one disk, whose other keys are as they are by default */
int crosvm_scsi_block_emit(const VmmDisk *disk, char **ret) {
        return crosvm_block_emit(disk, ret);
}
