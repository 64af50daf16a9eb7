/* SPDX-License-Identifier: Apache-2.0 */
#include "service/vm/fields.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/utf8.h"
#include "config/vm_config.h"
#include "service/manager/id_pool.h"

static void set_identity(const VmInfo *info, Fields *fields) {
        fields_set(fields, "ID", info->id);
        fields_set(fields, "NAME", info->name);
        fields_set_u64(fields, "CID", info->cid);
        fields_set(fields, "STATE", vm_state_to_string(info->state));
        fields_set(fields, "PAYLOAD_STATE", vm_payload_state_to_string(info->payload));
        fields_set(fields, "HYPERVISOR", request_hypervisor_to_string(info->hypervisor));
        fields_set_u64(fields, "OWNER_UID", info->owner_uid);
        fields_set_u64(fields, "OWNER_PID", info->owner_pid);
        fields_set(fields, "OWNER_BUS_NAME", info->owner_bus_name);
        fields_set(fields, "OWNER_BUS_ID", info->owner_bus_id);
        fields_set_u64(fields, "DETACHED", (uint64_t) info->detached);
        fields_set_u64(fields, "VHOST_VSOCK", info->vhost_vsock);
        fields_set(fields, "UNIT", info->unit);
        fields_set(fields, "INTERFACES", info->interfaces);
        fields_set(fields, "DEVICES", info->devices);
        fields_set_u64(fields, "MEMORY_BYTES", info->memory_bytes);
        fields_set_u64(fields, "VCPUS", info->n_vcpus);
        fields_set_u64(fields, "PID", info->pid);
        fields_set_u64(fields, "SUSPENDED", (uint64_t) info->suspended);
        fields_set_u64(fields, "BALLOON_BYTES", info->balloon_bytes);
        fields_set_u64(fields, "BALLOON_CHOICE", info->balloon_choice);
        fields_set_u64(fields, "AUTO_BALLOON", info->auto_balloon);
}

static void set_payload(const VmInfo *info, Fields *fields) {
        fields_set_u64(fields, "PAYLOAD_EXIT_CODE", (uint64_t) info->payload_exit_code);
        if (info->payload_status)
                fields_set(fields, "PAYLOAD_STATUS", info->payload_status);
        fields_set_u64(fields, "PAYLOAD_STARTED", info->payload_started_usec);
        fields_set_u64(fields, "PAYLOAD_STARTED_MONOTONIC", info->payload_started_monotonic_usec);
}

static void set_history(const VmInfo *info, const StopRequest *stop, Fields *fields) {
        fields_set_u64(fields, "CREATED", info->created_usec);
        fields_set_u64(fields, "CREATED_MONOTONIC", info->created_monotonic_usec);
        fields_set_u64(fields, "STARTED", info->started_usec);
        fields_set_u64(fields, "STARTED_MONOTONIC", info->started_monotonic_usec);
        fields_set_u64(fields, "DIED", info->died_usec);
        fields_set_u64(fields, "DIED_MONOTONIC", info->died_monotonic_usec);
        fields_set_u64(fields, "GUEST_CPU_USEC", info->usage.guest_cpu_usec);
        fields_set_u64(fields, "RSS_PEAK", info->usage.rss_peak_bytes);
        fields_set_u64(fields, "RSS_GUEST_PEAK", info->usage.rss_guest_peak_bytes);
        fields_set_u64(fields, "RSS_VMM_PEAK", info->usage.rss_vmm_peak_bytes);
        fields_set_u64(fields, "STOP_BY", stop->by);
        fields_set_u64(fields, "STOP_UID", stop->uid);
        fields_set_u64(fields, "STOP_PID", (uint64_t) stop->pid);
}

static void set_text(Fields *fields, const char *key, const char *text, size_t len, size_t max) {
        if (text && len > 0)
                fields_set_bytes(fields, key, text, MIN(len, max));
}

static void set_record(const DeathRecord *record, size_t max, Fields *fields) {
        const char *text = record->failure_text, *info = record->failure_info;

        fields_set(fields, "REASON", death_reason_to_string(record->reason));
        fields_set_u64(fields, "REASON_CODE", record->reason);
        fields_set_u64(fields, "EXITED", record->exited);
        fields_set_u64(fields, "EXIT_STATUS", record->exited ? (uint64_t) record->exit_status : 0);
        fields_set_u64(fields, "EXIT_SIGNAL", (uint64_t) record->exit_signal);
        fields_set_u64(fields, "CORE_DUMPED", record->core_dumped);
        if (record->system_call[0])
                fields_set(fields, "SYSTEM_CALL", record->system_call);
        fields_set_u64(fields, "STOP_STEP", record->stop_step);
        fields_set(fields, "MESSAGE", record->message);
        fields_set(fields, "RAMDUMP", record->ramdump);
        set_text(fields, "FAILURE_TEXT", text, text ? utf8_cut(text, max) : 0, max);
        set_text(fields, "FAILURE_INFO", info, info ? utf8_cut(info, max) : 0, max);
        fields_set_u64(fields, "FAILURE_BYTES", record->failure_bytes);
        set_text(fields, "CONSOLE_TAIL", record->console_tail, record->console_tail_len, max);
        set_text(fields, "STDERR_TAIL", record->stderr_tail, record->stderr_tail_len, max);
        fields_set_u64(fields, "RUN_TIME_USEC", record->run_time_usec);
}

/**
 * vm_info_to_fields() - append all of @info that does not live in the process
 * @stop:     who asked for the end, if somebody did
 * @text_max: bytes that are taken of each long text
 */
void vm_info_to_fields(const VmInfo *info, const StopRequest *stop, size_t text_max,
                       Fields *fields) {
        set_identity(info, fields);
        set_payload(info, fields);
        set_history(info, stop, fields);
        if (vm_state_is_final(info->state))
                set_record(&info->record, text_max, fields);
}

static int get_text(const Fields *fields, const char *key, const char *otherwise, char **ret) {
        const char *text = fields_get(fields, key);

        *ret = strdup(text ? text : otherwise);
        return *ret ? 0 : -ENOMEM;
}

static int get_bytes(const Fields *fields, const char *key, char **ret, size_t *ret_len) {
        const Field *field = fields_find(fields, key);

        if (!field)
                return 0;
        *ret = malloc(field->len + 1);
        if (!*ret)
                return -ENOMEM;
        memcpy(*ret, field->value, field->len + 1);
        *ret_len = field->len;
        return 0;
}

/* The number whose name @key holds, of @count that @to_string knows. */
#define GET_NAMED(fields, key, type, count, to_string, ret)                                        \
        ({                                                                                         \
                const char *_name = fields_get(fields, key);                                       \
                int _r = -EBADMSG;                                                                 \
                for (unsigned _i = 0; _name && _i < (count); _i++)                                 \
                        if (str_eq(to_string((type) _i), _name)) {                                 \
                                *(ret) = (type) _i;                                                \
                                _r = 0;                                                            \
                        }                                                                          \
                _r;                                                                                \
        })

static int get_identity(const Fields *fields, VmInfo *info) {
        const char *name = fields_get(fields, "NAME"), *id = fields_get(fields, "ID");
        int r;

        if (!name || !vm_name_is_valid(name) || !id || strlen(id) != VM_ID_LEN ||
            strspn(id, "0123456789abcdef") != VM_ID_LEN)
                return -EBADMSG;
        info->cid = (uint32_t) fields_get_u64(fields, "CID", 0);
        if (info->cid < CID_MIN || info->cid > CID_MAX)
                return -EBADMSG;
        r = GET_NAMED(fields, "STATE", VmState, VM_STATE_COUNT, vm_state_to_string, &info->state);
        if (r == 0)
                r = GET_NAMED(fields, "HYPERVISOR", VmmHypervisor, VMM_HYPERVISOR_SOFT + 1,
                              request_hypervisor_to_string, &info->hypervisor);
        if (r < 0)
                return r;
        (void) GET_NAMED(fields, "PAYLOAD_STATE", VmPayloadState, VM_PAYLOAD_STATE_COUNT,
                         vm_payload_state_to_string, &info->payload);
        memcpy(info->id, id, sizeof(info->id));
        r = get_text(fields, "NAME", "", &info->name);
        if (r == 0)
                r = get_text(fields, "OWNER_BUS_NAME", "", &info->owner_bus_name);
        if (r == 0)
                r = get_text(fields, "OWNER_BUS_ID", "", &info->owner_bus_id);
        if (r == 0 && fields_get(fields, "PAYLOAD_STATUS"))
                r = get_text(fields, "PAYLOAD_STATUS", "", &info->payload_status);
        if (r == 0 && fields_get(fields, "INTERFACES"))
                r = get_text(fields, "INTERFACES", "", &info->interfaces);
        if (r == 0 && fields_get(fields, "DEVICES"))
                r = get_text(fields, "DEVICES", "", &info->devices);
        return r < 0 ? r : get_text(fields, "UNIT", "", &info->unit);
}

static void get_numbers(const Fields *fields, VmInfo *info) {
        info->owner_uid = (uint32_t) fields_get_u64(fields, "OWNER_UID", 0);
        info->owner_pid = (uint32_t) fields_get_u64(fields, "OWNER_PID", 0);
        info->detached = fields_get_u64(fields, "DETACHED", 0) != 0;
        info->vhost_vsock = fields_get_u64(fields, "VHOST_VSOCK", 0) != 0;
        info->memory_bytes = fields_get_u64(fields, "MEMORY_BYTES", 0);
        info->n_vcpus = (uint32_t) fields_get_u64(fields, "VCPUS", 0);
        info->pid = (uint32_t) fields_get_u64(fields, "PID", 0);
        info->suspended = fields_get_u64(fields, "SUSPENDED", 0) != 0;
        info->balloon_bytes = fields_get_u64(fields, "BALLOON_BYTES", 0);
        info->balloon_choice = fields_get_u64(fields, "BALLOON_CHOICE", 0);
        info->auto_balloon = fields_get_u64(fields, "AUTO_BALLOON", 0) != 0;
        info->payload_exit_code = (int) fields_get_u64(fields, "PAYLOAD_EXIT_CODE", 0);
        info->payload_started_usec = fields_get_u64(fields, "PAYLOAD_STARTED", 0);
        info->payload_started_monotonic_usec =
                fields_get_u64(fields, "PAYLOAD_STARTED_MONOTONIC", 0);
        info->created_usec = fields_get_u64(fields, "CREATED", 0);
        info->created_monotonic_usec = fields_get_u64(fields, "CREATED_MONOTONIC", 0);
        info->started_usec = fields_get_u64(fields, "STARTED", 0);
        info->started_monotonic_usec = fields_get_u64(fields, "STARTED_MONOTONIC", 0);
        info->died_usec = fields_get_u64(fields, "DIED", 0);
        info->died_monotonic_usec = fields_get_u64(fields, "DIED_MONOTONIC", 0);
        info->usage.guest_cpu_usec = fields_get_u64(fields, "GUEST_CPU_USEC", 0);
        info->usage.rss_peak_bytes = fields_get_u64(fields, "RSS_PEAK", 0);
        info->usage.rss_guest_peak_bytes = fields_get_u64(fields, "RSS_GUEST_PEAK", 0);
        info->usage.rss_vmm_peak_bytes = fields_get_u64(fields, "RSS_VMM_PEAK", 0);
}

static void get_stop(const Fields *fields, StopRequest *stop) {
        uint64_t by = fields_get_u64(fields, "STOP_BY", STOP_BY_NOBODY);

        *stop = (StopRequest){.by = by <= STOP_BY_LAST ? (StopRequester) by : STOP_BY_NOBODY,
                              .uid = (uid_t) fields_get_u64(fields, "STOP_UID", 0),
                              .pid = (pid_t) fields_get_u64(fields, "STOP_PID", 0)};
}

static int get_record(const Fields *fields, VmInfo *info) {
        DeathRecord *record = &info->record;
        uint64_t step = fields_get_u64(fields, "STOP_STEP", STOP_STEP_NONE);
        size_t len;
        int r;

        record->reason = (DeathReason) fields_get_u64(fields, "REASON_CODE", 0);
        record->exited = fields_get_u64(fields, "EXITED", 0) != 0;
        if (record->exited)
                record->exit_status = (int) fields_get_u64(fields, "EXIT_STATUS", 0);
        record->exit_signal = (int) fields_get_u64(fields, "EXIT_SIGNAL", 0);
        if (step < STOP_STEP_COUNT)
                record->stop_step = (StopStep) step;
        record->core_dumped = fields_get_u64(fields, "CORE_DUMPED", 0) != 0;
        (void) snprintf(record->system_call, sizeof(record->system_call), "%s",
                        fields_get(fields, "SYSTEM_CALL") ?: "");
        record->failure_bytes = fields_get_u64(fields, "FAILURE_BYTES", 0);
        record->run_time_usec = fields_get_u64(fields, "RUN_TIME_USEC", 0);
        record->guest_cpu_usec = info->usage.guest_cpu_usec;
        record->rss_peak_bytes = info->usage.rss_peak_bytes;
        record->rss_guest_peak_bytes = info->usage.rss_guest_peak_bytes;
        record->rss_vmm_peak_bytes = info->usage.rss_vmm_peak_bytes;
        r = get_bytes(fields, "MESSAGE", &record->message, &len);
        if (r == 0)
                r = get_bytes(fields, "RAMDUMP", &record->ramdump, &len);
        if (r == 0)
                r = get_text(fields, "FAILURE_TEXT", "", &record->failure_text);
        if (r == 0)
                r = get_text(fields, "FAILURE_INFO", "", &record->failure_info);
        if (r == 0)
                r = get_bytes(fields, "CONSOLE_TAIL", &record->console_tail,
                              &record->console_tail_len);
        if (r == 0)
                r = get_bytes(fields, "STDERR_TAIL", &record->stderr_tail,
                              &record->stderr_tail_len);
        return r;
}

/**
 * vm_info_from_fields() - what vm_info_to_fields() appended
 * @ret: release with vm_info_deinit(), on failure too; record.stop is set whatever the state
 *
 * Return: 0; -EBADMSG when a value that every VM has is missing or is none; -ENOMEM.
 */
int vm_info_from_fields(const Fields *fields, VmInfo *ret) {
        int r;

        *ret = (VmInfo){.payload = VM_PAYLOAD_STARTING, .record = {.exit_status = -1}};
        r = get_identity(fields, ret);
        if (r < 0)
                return r;
        get_numbers(fields, ret);
        get_stop(fields, &ret->record.stop);
        return vm_state_is_final(ret->state) ? get_record(fields, ret) : 0;
}

/** vm_info_deinit() - release what it owns, finished or not */
void vm_info_deinit(VmInfo *info) {
        death_record_deinit(&info->record);
        free(info->name);
        free(info->owner_bus_name);
        free(info->owner_bus_id);
        free(info->interfaces);
        free(info->devices);
        free(info->unit);
        free(info->payload_status);
        *info = (VmInfo){0};
}
