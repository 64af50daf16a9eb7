/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_pmem_flags.h"

#include <errno.h>
#include <inttypes.h>

#include "config/kv_list.h"

static int set_path(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmPmem *) object)->path, reterr);
}

static int set_ro(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmPmem *) object)->read_only, reterr);
}

static int set_root(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmPmem *) object)->root, reterr);
}

typedef struct PmemArgs {
        VmmPmem pmem; /* first: what the functions above set */
        bool has_interval;
} PmemArgs;

static int set_vma_size(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_u64(item, 1, VMM_PMEM_BYTES_MAX, &((VmmPmem *) object)->vma_bytes, reterr);
}

static int set_swap_interval(void *object, const KvItem *item, TextError *reterr) {
        PmemArgs *args = object;

        args->has_interval = true;
        return kv_get_u64(item, 0, VMM_PMEM_INTERVAL_MS_MAX, &args->pmem.swap_interval_ms, reterr);
}

static int add_consume(VmmConfig *config, VmmPmem *pmem, TextError *reterr) {
        if (config->n_pmems >= VMM_PMEMS_MAX) {
                vmm_pmem_deinit(pmem);
                return text_error_set(reterr, -EINVAL, "more than %u of them", VMM_PMEMS_MAX);
        }
        config->pmems[config->n_pmems++] = *pmem;
        *pmem = (VmmPmem){0};
        return 0;
}

/* What crosvm wants of a list as a whole. */
static int check(const PmemArgs *args, TextError *reterr) {
        const VmmPmem *pmem = &args->pmem;

        if (!pmem->path)
                return text_error_set(reterr, -EINVAL, "path= is missing");
        if (args->has_interval != (pmem->vma_bytes > 0))
                return text_error_set(reterr, -EINVAL,
                                      "vma-size= and swap-interval-ms= go together");
        if (args->has_interval && pmem->read_only)
                return text_error_set(reterr, -EINVAL,
                                      "swap-interval-ms= is of writable memory, not with ro");
        return 0;
}

/** crosvm_pmem_parse() - "PATH[,ro][,root][,vma-size=BYTES,swap-interval-ms=N]" */
int crosvm_pmem_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"path", set_path, 0},
                {"ro", set_ro, 0},
                {"root", set_root, 0},
                {"vma-size", set_vma_size, 0},
                {"swap-interval-ms", set_swap_interval, 0},
        };
        PmemArgs args = {0};
        int r;

        r = kv_apply(value, "path", fields, ELEMENTSOF(fields), &args, reterr);
        if (r == 0)
                r = check(&args, reterr);
        if (r < 0) {
                vmm_pmem_deinit(&args.pmem);
                return r;
        }
        return add_consume(config, &args.pmem, reterr);
}

/* crosvm takes a list of --block for these, and of its keys looks at the path alone. */
static int add_path(VmmConfig *config, const char *value, bool read_only, TextError *reterr) {
        static const KvField fields[] = {
                {"path", set_path, 0},
                {"ro", NULL, 0},
                {"root", NULL, 0},
                {"sparse", NULL, 0},
                {"direct", NULL, 0},
                {"lock", NULL, 0},
                {"block-size", NULL, 0},
                {"id", NULL, 0},
                {"multiple-workers", NULL, 0},
                {"async-executor", NULL, 0},
                {"packed-queue", NULL, 0},
                {"bootindex", NULL, 0},
                {"pci-address", NULL, 0},
                {"dontcache", NULL, 0},
        };
        VmmPmem pmem = {0};
        int r;

        r = kv_apply(value, "path", fields, ELEMENTSOF(fields), &pmem, reterr);
        if (r == 0 && !pmem.path)
                r = text_error_set(reterr, -EINVAL, "path= is missing");
        if (r < 0) {
                vmm_pmem_deinit(&pmem);
                return r;
        }
        pmem.read_only = read_only;
        return add_consume(config, &pmem, reterr);
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
        if (pmem->root)
                kv_append_flag(&buf, "root");
        if (pmem->vma_bytes > 0)
                strbuf_printf(&buf, ",vma-size=%" PRIu64 ",swap-interval-ms=%" PRIu64,
                              pmem->vma_bytes, pmem->swap_interval_ms);
        return strbuf_finish(&buf, ret);
}
