/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vm_config_json.h"

/* "limits": what the host holds a VM's processes to. The numbers are those of systemd.resource-control(5). */

static int read_limit(const JsonValue *value, uint64_t min, uint64_t max, uint64_t *ret,
                      TextError *reterr) {
        int64_t n;
        int r = json_read_i64(value, (int64_t) min, (int64_t) max, &n, reterr);

        if (r < 0)
                return r;
        *ret = (uint64_t) n;
        return 0;
}

static uint64_t *limit_member(void *object, const JsonField *field) {
        return (uint64_t *) (void *) ((char *) object + field->offset);
}

static int read_memory(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        return read_limit(value, VM_LIMIT_MEMORY_MIB_MIN, VM_LIMIT_MEMORY_MIB_MAX,
                          limit_member(object, field), reterr);
}

static int read_weight(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        return read_limit(value, 1, VM_LIMIT_WEIGHT_MAX, limit_member(object, field), reterr);
}

static int read_quota(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        return read_limit(value, 1, VM_LIMIT_CPU_PERCENT_MAX, limit_member(object, field), reterr);
}

static int read_tasks(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        return read_limit(value, VM_LIMIT_TASKS_MIN, VM_LIMIT_TASKS_MAX,
                          limit_member(object, field), reterr);
}

const JsonField vm_limits_fields[] = {
        {"memory_max_mib", read_memory, offsetof(VmLimits, memory_max_mib)},
        {"memory_high_mib", read_memory, offsetof(VmLimits, memory_high_mib)},
        {"cpu_weight", read_weight, offsetof(VmLimits, cpu_weight)},
        {"cpu_quota_percent", read_quota, offsetof(VmLimits, cpu_quota_percent)},
        {"io_weight", read_weight, offsetof(VmLimits, io_weight)},
        {"tasks_max", read_tasks, offsetof(VmLimits, tasks_max)},
};
const size_t vm_limits_n_fields = ELEMENTSOF(vm_limits_fields);

/** vm_limits_read() - the object "limits" to the VmLimits at field->offset of @object */
int vm_limits_read(const JsonValue *value, const JsonField *field, void *object,
                   TextError *reterr) {
        return json_read_object(value, vm_limits_fields, vm_limits_n_fields,
                                (char *) object + field->offset, reterr);
}
