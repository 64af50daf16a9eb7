/* SPDX-License-Identifier: Apache-2.0 */

/* --pflash and --fw-cfg: what firmware keeps and what it is told. */

#include <errno.h>
#include <string.h>

#include "config/crosvm_device_flags.h"
#include "config/kv_list.h"

#define PFLASH_BLOCK_MIN 4096u
#define PFLASH_BLOCK_MAX (1u << 20)

static int set_pflash_path(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmConfig *) object)->pflash.path, reterr);
}

static int set_pflash_block_size(void *object, const KvItem *item, TextError *reterr) {
        VmmConfig *config = object;
        uint64_t size;
        int r;

        r = kv_get_u64(item, PFLASH_BLOCK_MIN, PFLASH_BLOCK_MAX, &size, reterr);
        if (r < 0)
                return r;
        if ((size & (size - 1)) != 0)
                return text_error_set(reterr, -EINVAL, "expected a power of two, not '%s'",
                                      item->value);
        config->pflash.block_size = (uint32_t) size;
        return 0;
}

/** crosvm_pflash_parse() - "PATH[,block-size=BYTES]" */
int crosvm_pflash_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"path", set_pflash_path},
                {"block-size", set_pflash_block_size},
        };
        int r;

        r = kv_apply(value, "path", fields, ELEMENTSOF(fields), config, reterr);
        if (r >= 0 && !config->pflash.path)
                r = text_error_set(reterr, -EINVAL, "path= is missing");
        return r;
}

/** crosvm_pflash_emit() - the --pflash value */
int crosvm_pflash_emit(const VmmPflash *pflash, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        kv_append(&buf, "path", pflash->path);
        if (pflash->block_size != VMM_PFLASH_BLOCK_SIZE)
                strbuf_printf(&buf, ",block-size=%u", pflash->block_size);
        return strbuf_finish(&buf, ret);
}

static int set_fw_cfg_name(void *object, const KvItem *item, TextError *reterr) {
        VmmFwCfgFile *file = object;
        int r;

        r = kv_get_string(item, &file->name, reterr);
        if (r < 0)
                return r;
        if (!*file->name || strlen(file->name) > VMM_FW_CFG_NAME_MAX)
                return text_error_set(reterr, -EINVAL, "expected 1 to %u bytes, not '%s'",
                                      VMM_FW_CFG_NAME_MAX, file->name);
        return 0;
}

static int set_fw_cfg_path(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmFwCfgFile *) object)->path, reterr);
}

static int set_fw_cfg_string(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmFwCfgFile *) object)->string, reterr);
}

/** crosvm_fw_cfg_parse() - add the file that one --fw-cfg value describes */
int crosvm_fw_cfg_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"name", set_fw_cfg_name},
                {"path", set_fw_cfg_path},
                {"string", set_fw_cfg_string},
        };
        _cleanup_(vmm_fw_cfg_file_deinit) VmmFwCfgFile file = {0};
        int r;

        if (config->n_fw_cfg >= VMM_FW_CFG_FILES_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u files", VMM_FW_CFG_FILES_MAX);
        r = kv_apply(value, "name", fields, ELEMENTSOF(fields), &file, reterr);
        if (r < 0)
                return r;
        config->fw_cfg[config->n_fw_cfg++] = file;
        file = (VmmFwCfgFile){0};
        return 0;
}

/** crosvm_fw_cfg_emit() - the --fw-cfg value of one file */
int crosvm_fw_cfg_emit(const VmmFwCfgFile *file, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        kv_append(&buf, "name", file->name);
        if (file->path)
                kv_append(&buf, "path", file->path);
        if (file->string)
                kv_append(&buf, "string", file->string);
        return strbuf_finish(&buf, ret);
}
