/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/record.h"

static int append_bytes(sd_bus_message *message, const char *key, const char *data, size_t len) {
        int r;

        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(message, 's', key);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(message, 'v', "ay");
        if (r < 0)
                return r;
        r = sd_bus_message_append_array(message, 'y', data ? data : "", len);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(message);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(message);
}

/* The status or the signal, or neither when the VMM never ran or was lost. */
static int append_exit(sd_bus_message *message, const DeathRecord *record) {
        if (record->exited)
                return sd_bus_message_append(message, "{sv}", "exit-status", "i",
                                             record->exit_status);
        if (record->exit_signal == 0)
                return 0;
        if (record->system_call[0]) {
                int r = sd_bus_message_append(message, "{sv}", "system-call", "s",
                                              record->system_call);

                if (r < 0)
                        return r;
        }
        return sd_bus_message_append(message, "{sv}{sv}", "exit-signal", "i", record->exit_signal,
                                     "core-dumped", "b", (int) record->core_dumped);
}

static int append_stop(sd_bus_message *message, const DeathRecord *record) {
        const StopRequest *stop = &record->stop;
        int r;

        if (stop->by == STOP_BY_NOBODY)
                return 0;
        r = sd_bus_message_append(message, "{sv}", "stop-requested-by", "s",
                                  stop_requester_to_string(stop->by));
        if (r >= 0 && record->stop_step != STOP_STEP_NONE)
                r = sd_bus_message_append(message, "{sv}", "stop-step", "s",
                                          stop_step_to_string(record->stop_step));
        if (r < 0 || (stop->by != STOP_BY_CLIENT && stop->by != STOP_BY_DRAIN))
                return r;
        return sd_bus_message_append(message, "{sv}{sv}", "stop-requested-uid", "u",
                                     (uint32_t) stop->uid, "stop-requested-pid", "u",
                                     (uint32_t) stop->pid);
}

static int append_texts(sd_bus_message *message, const DeathRecord *record) {
        int r;

        if (record->message) {
                r = sd_bus_message_append(message, "{sv}", "message", "s", record->message);
                if (r < 0)
                        return r;
        }
        if (record->ramdump) {
                r = sd_bus_message_append(message, "{sv}", "ramdump", "s", record->ramdump);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_append(message, "{sv}{sv}{sv}", "failure-text", "s",
                                  record->failure_text ? record->failure_text : "", "failure-info",
                                  "s", record->failure_info ? record->failure_info : "",
                                  "failure-bytes", "t", record->failure_bytes);
        if (r < 0)
                return r;
        r = append_bytes(message, "console-tail", record->console_tail, record->console_tail_len);
        if (r < 0)
                return r;
        return append_bytes(message, "stderr-tail", record->stderr_tail, record->stderr_tail_len);
}

static int append_entries(sd_bus_message *message, const DeathRecord *record, bool with_texts) {
        int r;

        r = sd_bus_message_append(message, "{sv}{sv}", "reason", "s",
                                  death_reason_to_string(record->reason), "code", "i",
                                  (int32_t) record->reason);
        if (r < 0)
                return r;
        r = append_exit(message, record);
        if (r < 0)
                return r;
        if (with_texts) {
                r = append_texts(message, record);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_append(
                message, "{sv}{sv}{sv}{sv}{sv}", "run-time-usec", "t", record->run_time_usec,
                "guest-cpu-usec", "t", record->guest_cpu_usec, "rss-peak-bytes", "t",
                record->rss_peak_bytes, "rss-guest-peak-bytes", "t", record->rss_guest_peak_bytes,
                "rss-vmm-peak-bytes", "t", record->rss_vmm_peak_bytes);
        if (r < 0)
                return r;
        return append_stop(message, record);
}

/** record_append() - the death record, empty while the VM lives. Return: 0 or negative errno. */
int record_append(sd_bus_message *message, const VmInfo *info) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        if (vm_state_is_final(info->state)) {
                r = append_entries(message, &info->record, /* with_texts= */ true);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(message);
}

/**
 * record_append_told() - what everybody is told of an end: the record without the words of guest and VMM
 *
 * Return: 0 or negative errno.
 */
int record_append_told(sd_bus_message *message, const VmInfo *info) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        r = append_entries(message, &info->record, /* with_texts= */ false);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(message);
}

static int append_identity(sd_bus_message *message, const VmInfo *info) {
        int r;

        r = sd_bus_message_append(message, "{sv}{sv}{sv}{sv}{sv}{sv}", "id", "s", info->id, "name",
                                  "s", info->name, "cid", "u", info->cid, "owner", "u",
                                  info->owner_uid, "state", "s", vm_state_to_string(info->state),
                                  "hypervisor", "s",
                                  request_hypervisor_to_string(info->hypervisor));
        if (r < 0)
                return r;
        return sd_bus_message_append(message, "{sv}{sv}{sv}{sv}{sv}", "memory-bytes", "t",
                                     info->memory_bytes, "vcpus", "u", info->n_vcpus,
                                     "created-usec", "t", info->created_usec, "started-usec", "t",
                                     info->started_usec, "died-usec", "t", info->died_usec);
}

/** record_append_history() - a death of the history: whose, when, and the record. Return: 0 or negative errno. */
int record_append_history(sd_bus_message *message, const VmInfo *info) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        r = append_identity(message, info);
        if (r < 0)
                return r;
        r = append_entries(message, &info->record, /* with_texts= */ true);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(message);
}
