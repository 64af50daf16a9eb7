/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/vm_config.h"

static int check_boot(const VmConfig *config, TextError *reterr) {
        if (config->bootloader && config->kernel)
                return text_error_set(reterr, -EINVAL, "bootloader: excludes kernel");
        if (config->bootloader && config->initrd)
                return text_error_set(reterr, -EINVAL, "bootloader: excludes initrd");
        if (config->bootloader && config->params)
                return text_error_set(reterr, -EINVAL,
                                      "params: are a kernel's, and bootloader excludes it");
        if (!config->kernel && !config->bootloader)
                return text_error_set(reterr, -EINVAL, "kernel: is missing, and so is bootloader");
        return 0;
}

static int check_partition(const VmDisk *disk, size_t disk_index, size_t index, TextError *reterr) {
        const VmPartition *partition = &disk->partitions[index];

        if (partition->writable && !disk->writable)
                return text_error_set(reterr, -EINVAL,
                                      "disks[%zu].partitions[%zu].writable: the disk itself is not",
                                      disk_index, index);
        for (size_t i = 0; i < index; i++) {
                const VmPartition *other = &disk->partitions[i];

                if (str_eq(partition->label, other->label))
                        return text_error_set(
                                reterr, -EINVAL,
                                "disks[%zu].partitions[%zu].label: \"%s\" is used twice",
                                disk_index, index, partition->label);
                if (partition->has_guid && other->has_guid &&
                    memcmp(partition->guid, other->guid, sizeof(other->guid)) == 0)
                        return text_error_set(reterr, -EINVAL,
                                              "disks[%zu].partitions[%zu].guid: used twice",
                                              disk_index, index);
        }
        return 0;
}

static int check_disk(const VmDisk *disk, size_t index, TextError *reterr) {
        int r;

        if (disk->image && disk->n_partitions > 0)
                return text_error_set(reterr, -EINVAL, "disks[%zu]: image excludes partitions",
                                      index);
        if (!disk->image && disk->n_partitions == 0)
                return text_error_set(reterr, -EINVAL, "disks[%zu]: expected image or partitions",
                                      index);
        for (size_t i = 0; i < disk->n_partitions; i++) {
                r = check_partition(disk, index, i, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

/*
 * One file under two writers is a damaged file, and the lock on the image cannot see it: both users would hold the
 * same open file description. Sorted by name, the uses of one file are neighbours.
 */
typedef struct FileUse {
        const char *fd_name; /* borrowed from the config */
        bool writable;
        size_t order; /* in the config */
        char path[40];
} FileUse;

typedef struct FileUses {
        FileUse *items; /* owned array */
        size_t n, room;
} FileUses;

static void file_uses_deinit(FileUses *uses) {
        free(uses->items);
}

static int collect_use(void *userdata, const char *path, const char *fd_name, VmFileKind kind) {
        FileUses *uses = userdata;
        FileUse *use;

        if (uses->n == uses->room) {
                size_t room = uses->room ? uses->room * 2 : 16;
                FileUse *grown = reallocarray(uses->items, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                uses->items = grown;
                uses->room = room;
        }
        use = &uses->items[uses->n];
        *use = (FileUse){.fd_name = fd_name, .writable = kind == VM_FILE_WRITE, .order = uses->n++};
        (void) snprintf(use->path, sizeof(use->path), "%s", path);
        return 0;
}

static int compare_uses(const void *a, const void *b) {
        const FileUse *x = a, *y = b;
        int c = strcmp(x->fd_name, y->fd_name);

        return c != 0 ? c : x->order < y->order ? -1 : x->order > y->order;
}

static int check_uses(const VmConfig *config, TextError *reterr) {
        _cleanup_(file_uses_deinit) FileUses uses = {0};
        int r;

        r = vm_config_each_file(config, collect_use, &uses);
        if (r < 0)
                return r;
        if (uses.n > 1)
                qsort(uses.items, uses.n, sizeof(*uses.items), compare_uses);
        for (size_t i = 1; i < uses.n; i++) {
                const FileUse *first = &uses.items[i - 1], *second = &uses.items[i];

                if (str_eq(first->fd_name, second->fd_name) &&
                    (first->writable || second->writable))
                        return text_error_set(
                                reterr, -EINVAL,
                                "%s: \"fd:%s\" is also %s, and one of them is writable",
                                second->path, second->fd_name, first->path);
        }
        return 0;
}

static int check_limits(const VmLimits *limits, TextError *reterr) {
        if (limits->memory_max_mib == 0 || limits->memory_high_mib <= limits->memory_max_mib)
                return 0;
        return text_error_set(reterr, -EINVAL,
                              "limits.memory_high_mib: is above memory_max_mib, and so never "
                              "reached");
}

static int check_network(const VmNetwork *network, size_t index, TextError *reterr) {
        const bool user = network->type == VM_NETWORK_USER,
                   bridge = network->type == VM_NETWORK_BRIDGE;
        const char *wrong = user && network->name          ? "name"
                            : user && network->queues != 1 ? "queues"
                            : user && network->isolated    ? "isolated"
                                                           : NULL;

        if (wrong)
                return text_error_set(reterr, -EINVAL,
                                      "network[%zu].%s: a network of type \"user\" has none", index,
                                      wrong);
        if (bridge && network->forwards.n > 0)
                return text_error_set(reterr, -EINVAL, "network[%zu].forward: needs type \"user\"",
                                      index);
        return 0;
}

static int check_networks(const VmConfig *config, TextError *reterr) {
        for (size_t i = 0; i < config->n_networks; i++) {
                const VmNetwork *network = &config->networks[i];
                int r = check_network(network, i, reterr);

                if (r < 0)
                        return r;
                for (size_t j = 0; j < i && network->has_mac; j++)
                        if (config->networks[j].has_mac &&
                            memcmp(config->networks[j].mac, network->mac, MAC_LEN) == 0)
                                return text_error_set(reterr, -EINVAL,
                                                      "network[%zu].mac: is network[%zu]'s, too", i,
                                                      j);
        }
        return 0;
}

static int check_shares(const VmConfig *config, TextError *reterr) {
        for (size_t i = 0; i < config->n_shares; i++) {
                const VmShare *share = &config->shares[i];

                if ((share->path != NULL) == (share->socket != NULL))
                        return text_error_set(reterr, -EINVAL,
                                              "shared_paths[%zu]: expected path or socket", i);
                if (share->socket && (share->guest_uid != 0 || share->guest_gid != 0))
                        return text_error_set(reterr, -EINVAL,
                                              "shared_paths[%zu]: with socket, who serves it maps "
                                              "uids and gids",
                                              i);
                for (size_t j = 0; j < i; j++)
                        if (str_eq(config->shares[j].tag, share->tag))
                                return text_error_set(reterr, -EINVAL,
                                                      "shared_paths[%zu].tag: \"%s\" is used twice",
                                                      i, share->tag);
        }
        return 0;
}

/**
 * vm_config_validate() - rules between members; ranges of single members are the parser's
 *
 * Does no I/O. Return: 0; -EINVAL with "PATH: …" in @reterr.
 */
int vm_config_validate(const VmConfig *config, TextError *reterr) {
        int r;

        r = check_boot(config, reterr);
        if (r == 0 && config->auto_memory_balloon && !config->balloon)
                r = text_error_set(reterr, -EINVAL, "auto_memory_balloon: needs balloon");
        if (r == 0 && config->gdb_port > 0 && config->debug_level != VM_DEBUG_FULL)
                r = text_error_set(reterr, -EINVAL, "gdb_port: needs debug_level \"full\"");
        if (r == 0)
                r = check_limits(&config->limits, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < config->n_disks; i++) {
                r = check_disk(&config->disks[i], i, reterr);
                if (r < 0)
                        return r;
        }
        r = check_networks(config, reterr);
        if (r == 0)
                r = check_shares(config, reterr);
        return r < 0 ? r : check_uses(config, reterr);
}
