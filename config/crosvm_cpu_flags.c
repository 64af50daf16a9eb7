/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_cpu_flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/kv_list.h"
#include "config/vm_config.h"

static int set_num_cores(void *object, const KvItem *item, TextError *reterr) {
        VmmConfig *config = object;
        uint64_t n;
        int r;

        r = kv_get_u64(item, 1, VM_VCPUS_MAX, &n, reterr);
        if (r < 0)
                return r;
        config->n_vcpus = (unsigned) n;
        return 0;
}

static int add_cluster(VmmCpus *cpus, const char *text, TextError *reterr) {
        CpuSet set, *grown;
        int r;

        r = cpu_set_parse(text, &set, reterr);
        if (r < 0)
                return r;
        if (cpus->n_clusters == VM_VCPUS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u clusters", VM_VCPUS_MAX);
        grown = realloc(cpus->clusters, (cpus->n_clusters + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        cpus->clusters = grown;
        cpus->clusters[cpus->n_clusters++] = set;
        return 0;
}

/* "[[0,1],[2-3]]" */
static int set_clusters(void *object, const KvItem *item, TextError *reterr) {
        VmmConfig *config = object;
        const char *p = item->value ?: "";

        if (*p != '[')
                return text_error_set(reterr, -EINVAL, "expected [[0,1],[2,3],...], not '%s'", p);
        do {
                const char *end = p[1] == '[' ? strchr(p, ']') : NULL;
                _cleanup_(freep) char *inner = end ? strndup(p + 2, (size_t) (end - p - 2)) : NULL;
                int r;

                if (!end)
                        break;
                if (!inner)
                        return -ENOMEM;
                r = add_cluster(&config->cpus, inner, reterr);
                if (r < 0)
                        return r;
                p = end + 1;
        } while (*p == ',');
        if (p[0] != ']' || p[1])
                return text_error_set(reterr, -EINVAL, "expected [[0,1],[2,3],...], not '%s'",
                                      item->value);
        return 0;
}

/** crosvm_cpus_parse() - "N", "num-cores=N", and clusters=[[0,1],[2,3]] */
int crosvm_cpus_parse(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"num-cores", set_num_cores},
                {"clusters", set_clusters, KV_LIST},
                {"core-types", NULL},
                {"boot-cpu", NULL},
                {"freq-domains", NULL},
                {"sve", NULL},
                {"mte", NULL},
        };

        return kv_apply(value, "num-cores", fields, ELEMENTSOF(fields), config, reterr);
}

/** crosvm_cpus_emit() - the --cpus value, with the clusters of --cpu-cluster */
int crosvm_cpus_emit(const VmmConfig *config, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        strbuf_printf(&buf, "%u", config->n_vcpus);
        for (unsigned i = 0; i < config->cpus.n_clusters; i++) {
                strbuf_append(&buf, i == 0 ? ",clusters=[[" : ",[");
                cpu_set_append(&config->cpus.clusters[i], &buf);
                strbuf_append(&buf, "]");
        }
        if (config->cpus.n_clusters > 0)
                strbuf_append(&buf, "]");
        return strbuf_finish(&buf, ret);
}

/** crosvm_cpu_cluster_parse() - one more cluster of vCPUs */
int crosvm_cpu_cluster_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return add_cluster(&config->cpus, value, reterr);
}

static int set_vcpu_affinity(VmmCpus *cpus, const char *text, TextError *reterr) {
        const char *equals = strchr(text, '=');
        _cleanup_(freep) char *number =
                equals ? strndup(text, (size_t) (equals - text)) : strdup(text);
        uint32_t vcpu;

        if (!number)
                return -ENOMEM;
        if (!equals || parse_u32(number, &vcpu) < 0 || vcpu >= VM_VCPUS_MAX)
                return text_error_set(reterr, -EINVAL, "expected VCPU=PROCESSORS, not '%s'", text);
        if (cpu_set_count(&cpus->vcpu_affinity[vcpu]) > 0)
                return text_error_set(reterr, -EINVAL, "vCPU %u is given twice", vcpu);
        return cpu_set_parse(equals + 1, &cpus->vcpu_affinity[vcpu], reterr);
}

/** crosvm_cpu_affinity_parse() - "0-3" for all vCPUs, or "0=0:1=2,3" one by one */
int crosvm_cpu_affinity_parse(VmmConfig *config, const char *value, TextError *reterr) {
        _cleanup_(freep) char *copy = strdup(value);
        char *rest = copy, *word;
        int r = 0;

        if (!copy)
                return -ENOMEM;
        if (!strchr(value, '='))
                return cpu_set_parse(value, &config->cpus.affinity, reterr);
        config->cpus.vcpu_affinity = calloc(VM_VCPUS_MAX, sizeof(CpuSet));
        if (!config->cpus.vcpu_affinity)
                return -ENOMEM;
        while (r == 0 && (word = strsep(&rest, ":")))
                r = set_vcpu_affinity(&config->cpus, word, reterr);
        return r;
}

/** crosvm_cpu_affinity_emit() - the --cpu-affinity value; NULL when vCPUs run anywhere */
int crosvm_cpu_affinity_emit(const VmmCpus *cpus, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        bool any = cpu_set_count(&cpus->affinity) > 0;

        cpu_set_append(&cpus->affinity, &buf);
        for (unsigned i = 0; cpus->vcpu_affinity && i < VM_VCPUS_MAX; i++) {
                if (cpu_set_count(&cpus->vcpu_affinity[i]) == 0)
                        continue;
                strbuf_printf(&buf, "%s%u=", any ? ":" : "", i);
                cpu_set_append(&cpus->vcpu_affinity[i], &buf);
                any = true;
        }
        *ret = NULL;
        return any ? strbuf_finish(&buf, ret) : 0;
}

/** crosvm_rt_cpus_parse() - vCPUs with a real-time policy */
int crosvm_rt_cpus_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return cpu_set_parse(value, &config->cpus.realtime, reterr);
}

/** crosvm_rt_cpus_emit() - the --rt-cpus value; NULL for none */
int crosvm_rt_cpus_emit(const VmmCpus *cpus, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        *ret = NULL;
        if (cpu_set_count(&cpus->realtime) == 0)
                return 0;
        cpu_set_append(&cpus->realtime, &buf);
        return strbuf_finish(&buf, ret);
}

/** crosvm_core_scheduling_parse() - "true" or "false" */
int crosvm_core_scheduling_parse(VmmConfig *config, const char *value, TextError *reterr) {
        const KvItem item = {.value = (char *) (uintptr_t) value};

        return kv_get_bool(&item, &config->cpus.core_scheduling, reterr);
}
