/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_memory_flags.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "config/kv_list.h"
#include "config/vm_config.h"

/* ---- --mem ---- */

static int set_mem_size(void *object, const KvItem *item, TextError *reterr) {
        VmmConfig *config = object;
        uint64_t mib;
        int r;

        r = kv_get_u64(item, 1, VM_MEMORY_MIB_MAX, &mib, reterr);
        if (r < 0)
                return r;
        config->memory_bytes = mib << 20;
        return 0;
}

static int set_hugetlb(void *object, const KvItem *item, TextError *reterr) {
        VmmConfig *config = object;
        const char *value = item->value ?: "2M";

        if (str_eq(value, "2M"))
                config->memory.huge_page_mib = 2;
        else if (str_eq(value, "1G"))
                config->memory.huge_page_mib = 1024;
        else
                return text_error_set(reterr, -EINVAL, "expected 2M or 1G, not '%s'", value);
        return 0;
}

static int set_prefault(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmConfig *) object)->memory.prefault, reterr);
}

static int set_host_nodes(void *object, const KvItem *item, TextError *reterr) {
        _cleanup_(strvec_deinit) StrVec numbers = {0};
        VmmConfig *config = object;
        int r = kv_get_strings(item, VMM_HOST_NODES_MAX, &numbers, reterr);

        if (r < 0)
                return r;
        for (size_t i = 0; i < numbers.n; i++) {
                uint32_t node;

                if (parse_u32(numbers.items[i], &node) < 0 || node >= VMM_HOST_NODES_MAX)
                        return text_error_set(reterr, -EINVAL,
                                              "expected nodes from 0 to %u, not '%s'",
                                              VMM_HOST_NODES_MAX - 1, numbers.items[i]);
                config->memory.host_nodes |= UINT64_C(1) << node;
        }
        return 0;
}

/** crosvm_mem_parse() - "MIB" or "size=MIB"; the other keys are ours */
int crosvm_mem_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"size", set_mem_size},
                {"hugetlb", set_hugetlb},
                {"prefault", set_prefault},
                {"host-nodes", set_host_nodes, KV_LIST},
        };

        return kv_apply(value, "size", fields, ELEMENTSOF(fields), config, reterr);
}

/**
 * crosvm_mem_emit() - the value of --mem
 *
 * Return: 0; -EOPNOTSUPP when a crosvm has no words for it; -ENOMEM.
 */
int crosvm_mem_emit(const VmmConfig *config, char **ret) {
        const VmmMemory *memory = &config->memory;
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        const char *separator = "=[";

        if (config->dialect != VMM_DIALECT_VIVARIUM &&
            (memory->huge_page_mib || memory->prefault || memory->host_nodes))
                return -EOPNOTSUPP;
        strbuf_printf(&buf, "%" PRIu64, config->memory_bytes >> 20);
        if (memory->huge_page_mib)
                strbuf_append(&buf, memory->huge_page_mib == 2 ? ",hugetlb=2M" : ",hugetlb=1G");
        if (memory->prefault)
                strbuf_append(&buf, ",prefault");
        if (memory->host_nodes)
                strbuf_append(&buf, ",host-nodes");
        for (unsigned i = 0; i < VMM_HOST_NODES_MAX; i++)
                if (memory->host_nodes >> i & 1) {
                        strbuf_printf(&buf, "%s%u", separator, i);
                        separator = ",";
                }
        if (memory->host_nodes)
                strbuf_append(&buf, "]");
        return strbuf_finish(&buf, ret);
}

static int set_init_mem(void *object, const KvItem *item, TextError *reterr) {
        VmmConfig *config = object;
        uint64_t mib;
        int r;

        r = kv_get_u64(item, 1, VM_MEMORY_MIB_MAX, &mib, reterr);
        if (r < 0)
                return r;
        config->init_memory_bytes = mib << 20;
        return 0;
}

/** crosvm_init_mem_parse() - "MIB" */
int crosvm_init_mem_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {{"size", set_init_mem}};

        return kv_apply(value, "size", fields, ELEMENTSOF(fields), config, reterr);
}

/* ---- --file-backed-mapping ---- */

#define MAPPING(object) ((VmmFileMapping *) (object))

static int set_mapping_address(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_u64(item, 0, UINT64_MAX, &MAPPING(object)->address, reterr);
}

static int set_mapping_size(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_u64(item, 1, UINT64_MAX, &MAPPING(object)->size, reterr);
}

static int set_mapping_path(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &MAPPING(object)->path, reterr);
}

static int set_mapping_offset(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_u64(item, 0, INT64_MAX, &MAPPING(object)->offset, reterr);
}

static int set_mapping_rw(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &MAPPING(object)->writable, reterr);
}

static int set_mapping_sync(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &MAPPING(object)->sync, reterr);
}

static int set_mapping_align(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &MAPPING(object)->align, reterr);
}

static int set_mapping_ram(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &MAPPING(object)->ram, reterr);
}

/** crosvm_file_mapping_parse() - "addr=N,size=N,path=PATH[,offset=N][,rw][,sync][,align][,ram]" */
int crosvm_file_mapping_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"addr", set_mapping_address}, {"size", set_mapping_size},
                {"path", set_mapping_path},    {"offset", set_mapping_offset},
                {"rw", set_mapping_rw},        {"sync", set_mapping_sync},
                {"align", set_mapping_align},  {"ram", set_mapping_ram},
        };
        VmmFileMapping mapping = {0};
        int r;

        if (config->memory.n_mappings >= VMM_FILE_MAPPINGS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u of them",
                                      VMM_FILE_MAPPINGS_MAX);
        r = kv_apply(value, NULL, fields, ELEMENTSOF(fields), &mapping, reterr);
        if (r < 0) {
                free(mapping.path);
                return r;
        }
        config->memory.mappings[config->memory.n_mappings++] = mapping;
        return 0;
}

/** crosvm_file_mapping_emit() - the value of one --file-backed-mapping */
int crosvm_file_mapping_emit(const VmmFileMapping *mapping, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_printf(&buf, "addr=0x%" PRIx64 ",size=0x%" PRIx64, mapping->address, mapping->size);
        kv_append(&buf, "path", mapping->path);
        if (mapping->offset != 0)
                strbuf_printf(&buf, ",offset=0x%" PRIx64, mapping->offset);
        if (mapping->writable)
                kv_append_flag(&buf, "rw");
        if (mapping->sync)
                kv_append_flag(&buf, "sync");
        if (mapping->align)
                kv_append_flag(&buf, "align");
        if (mapping->ram)
                kv_append_flag(&buf, "ram");
        return strbuf_finish(&buf, ret);
}

/* ---- --pstore ---- */

static int set_pstore_path(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmMemory *) object)->pstore_path, reterr);
}

static int set_pstore_size(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_u64(item, 1, UINT32_MAX, &((VmmMemory *) object)->pstore_size, reterr);
}

/** crosvm_pstore_parse() - "path=PATH,size=BYTES" */
int crosvm_pstore_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {{"path", set_pstore_path}, {"size", set_pstore_size}};
        int r = kv_apply(value, NULL, fields, ELEMENTSOF(fields), &config->memory, reterr);

        if (r == 0 && (!config->memory.pstore_path || config->memory.pstore_size == 0))
                r = text_error_set(reterr, -EINVAL, "needs path= and size=");
        return r;
}

/** crosvm_pstore_emit() - the value of --pstore, NULL for none */
int crosvm_pstore_emit(const VmmMemory *memory, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        *ret = NULL;
        if (!memory->pstore_path)
                return 0;
        kv_append(&buf, "path", memory->pstore_path);
        strbuf_printf(&buf, ",size=%" PRIu64, memory->pstore_size);
        return strbuf_finish(&buf, ret);
}
