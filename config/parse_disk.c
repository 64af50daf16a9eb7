/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "config/guid.h"
#include "config/utf8.h"
#include "config/vm_config_json.h"

static int read_label(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        VmPartition *partition = object;
        uint16_t units[VM_LABEL_UNITS_MAX];
        const char *text;
        size_t n;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        if (!*text || utf8_to_utf16(text, units, VM_LABEL_UNITS_MAX, &n) < 0)
                return json_error(value, reterr, "expected 1 to %u UTF-16 units",
                                  VM_LABEL_UNITS_MAX);
        partition->label = strdup(text);
        return partition->label ? 0 : -ENOMEM;
}

static int read_guid(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        VmPartition *partition = object;
        const char *text;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        if (guid_parse(text, partition->guid) < 0)
                return json_error(value, reterr,
                                  "expected a GUID of the form "
                                  "01234567-89ab-cdef-0123-456789abcdef, not \"%.*s\"",
                                  JSON_SHOWN(text));
        partition->has_guid = true;
        return 0;
}

static int read_partition_writable(const JsonValue *value, const JsonField *field, void *object,
                                   TextError *reterr) {
        return json_read_bool(value, &((VmPartition *) object)->writable, reterr);
}

const JsonField vm_partition_fields[] = {
        {"label", read_label},
        {"path", vm_file_read, offsetof(VmPartition, file)},
        {"writable", read_partition_writable},
        {"guid", read_guid},
};
const size_t vm_partition_n_fields = ELEMENTSOF(vm_partition_fields);

static int read_partition(const JsonValue *value, void *object, TextError *reterr) {
        VmDisk *disk = object;
        VmPartition *partition = &disk->partitions[disk->n_partitions++];
        int r;

        r = json_read_object(value, vm_partition_fields, vm_partition_n_fields, partition, reterr);
        if (r < 0)
                return r;
        if (!partition->label)
                return json_error(value, reterr, "label is missing");
        if (!partition->file)
                return json_error(value, reterr, "path is missing");
        return 0;
}

static int read_partitions(const JsonValue *value, const JsonField *field, void *object,
                           TextError *reterr) {
        VmDisk *disk = object;

        disk->partitions = calloc(VM_PARTITIONS_MAX, sizeof(*disk->partitions));
        if (!disk->partitions)
                return -ENOMEM;
        return json_read_array(value, VM_PARTITIONS_MAX, read_partition, disk, reterr);
}

static int read_disk_writable(const JsonValue *value, const JsonField *field, void *object,
                              TextError *reterr) {
        return json_read_bool(value, &((VmDisk *) object)->writable, reterr);
}

const JsonField vm_disk_fields[] = {
        {"image", vm_file_read, offsetof(VmDisk, image)},
        {"partitions", read_partitions},
        {"writable", read_disk_writable},
};
const size_t vm_disk_n_fields = ELEMENTSOF(vm_disk_fields);

static int read_disk(const JsonValue *value, void *object, TextError *reterr) {
        VmConfig *config = object;
        VmDisk *disk = &config->disks[config->n_disks++];
        int r;

        r = json_read_object(value, vm_disk_fields, vm_disk_n_fields, disk, reterr);
        if (r < 0)
                return r;
        if (!json_has_member(value, "writable"))
                return json_error(value, reterr, "writable is missing");
        return 0;
}

/** vm_disks_read() - the member "disks" of a VmConfig */
int vm_disks_read(const JsonValue *value, const JsonField *field, void *object, TextError *reterr) {
        VmConfig *config = object;

        config->disks = calloc(VM_DISKS_MAX, sizeof(*config->disks));
        if (!config->disks)
                return -ENOMEM;
        return json_read_array(value, VM_DISKS_MAX, read_disk, config, reterr);
}
