/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "dbus/client/image_file.h"
#include "dbus/client/partitioned_disk.h"
#include "dbus/client/verbs.h"

/* Android's: what a disk and a partition are a multiple of, and what the kinds of partition begin with. */
#define IMAGE_GRANULARITY 4096u
#define INSTANCE_HEAD                                                                              \
        "Android-VM-instance\x01" /* its version in 16 bits, little-endian; the 0 comes by itself */
#define STORAGE_HEAD "UNFORMATTED-STORAGE"

typedef struct PartitionType {
        const char *name, *head;
        size_t len;
} PartitionType;

static const PartitionType types[] = {
        {"raw", "", 0},
        {"instance", INSTANCE_HEAD, sizeof(INSTANCE_HEAD)},
        {"encryptedstore", STORAGE_HEAD, sizeof(STORAGE_HEAD) - 1},
};

static int create_empty(const char *path, const char *size_text, const PartitionType *type,
                        TextError *reterr) {
        _cleanup_(image_file_deinit) ImageFile image = IMAGE_FILE_NONE;
        uint64_t size;
        int r = image_parse_size(size_text, &size, reterr);

        if (r >= 0)
                r = image_file_create(path, &image, reterr);
        if (r >= 0)
                r = image_file_grow(&image, align_up(size, IMAGE_GRANULARITY), reterr);
        if (r >= 0)
                r = image_file_write(&image, type->head, type->len, 0, reterr);
        if (r < 0)
                return r;
        image_file_keep(&image);
        return 0;
}

/** verb_create_partition() - `vivctl create-partition FILE SIZE`. Return: exit status; negative errno with @reterr set. */
int verb_create_partition(Client *client, const Args *args, TextError *reterr) {
        const char *name = args_value(args, OPTION_TYPE);

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (str_eq(name ? name : "raw", types[i].name))
                        return create_empty(args->operands[0], args->operands[1], &types[i],
                                            reterr);
        return text_error_set(reterr, CLIENT_E_USAGE,
                              "--type: expected raw, instance or encryptedstore, not \"%s\"", name);
}

/** verb_create_disk() - `vivctl create-disk FILE SIZE|LABEL=FILE...`. Return: exit status; negative errno. */
int verb_create_disk(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(partitioned_disk_deinit) PartitionedDisk disk = {0};
        const char *path = args->operands[0];
        int r;

        if (args->n_operands == 2 && !strchr(args->operands[1], '=')) {
                if (args_has(args, OPTION_COMPOSITE))
                        return text_error_set(reterr, CLIENT_E_USAGE,
                                              "--composite needs partitions: vivctl create-disk "
                                              "--composite FILE LABEL=FILE...");
                return create_empty(path, args->operands[1], &types[0], reterr);
        }
        r = partitioned_disk_open(args->operands + 1, args->n_operands - 1, &disk, reterr);
        if (r < 0)
                return r;
        return args_has(args, OPTION_COMPOSITE)
                       ? partitioned_disk_write_composite(&disk, path, reterr)
                       : partitioned_disk_write_raw(&disk, path, reterr);
}
