/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_pmem_flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/kv_list.h"

static int set_path(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmPmem *) object)->path, reterr);
}

static int set_ro(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmPmem *) object)->read_only, reterr);
}

static int add_consume(VmmConfig *config, VmmPmem *pmem, TextError *reterr) {
        if (config->n_pmems >= VMM_PMEMS_MAX) {
                free(pmem->path);
                return text_error_set(reterr, -EINVAL, "more than %u of them", VMM_PMEMS_MAX);
        }
        config->pmems[config->n_pmems++] = *pmem;
        return 0;
}

/** crosvm_pmem_parse() - "PATH[,ro]" */
int crosvm_pmem_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"path", set_path, 0},
                {"ro", set_ro, 0},
                {"root", NULL, 0},
                {"vma-size", NULL, 0},
                {"swap-interval-ms", NULL, 0},
        };
        VmmPmem pmem = {0};
        int r;

        r = kv_apply(value, "path", fields, ELEMENTSOF(fields), &pmem, reterr);
        if (r == 0 && !pmem.path)
                r = text_error_set(reterr, -EINVAL, "path= is missing");
        if (r < 0) {
                free(pmem.path);
                return r;
        }
        return add_consume(config, &pmem, reterr);
}

static int add_path(VmmConfig *config, const char *value, bool read_only, TextError *reterr) {
        VmmPmem pmem = {.read_only = read_only};

        if (!*value)
                return text_error_set(reterr, -EINVAL, "the value is empty");
        pmem.path = strdup(value);
        return pmem.path ? add_consume(config, &pmem, reterr) : -ENOMEM;
}

/** crosvm_pmem_device_parse() - a path, read-only */
int crosvm_pmem_device_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return add_path(config, value, /* read_only= */ true, reterr);
}

/** crosvm_rw_pmem_device_parse() - a path, writable */
int crosvm_rw_pmem_device_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return add_path(config, value, /* read_only= */ false, reterr);
}

/** crosvm_pmem_emit() - the --pmem value of one file */
int crosvm_pmem_emit(const VmmPmem *pmem, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        kv_append(&buf, "path", pmem->path);
        if (pmem->read_only)
                kv_append_flag(&buf, "ro");
        return strbuf_finish(&buf, ret);
}
