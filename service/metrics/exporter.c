/* SPDX-License-Identifier: Apache-2.0 */
#include "service/metrics/exporter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "service/request.h"
#include "service/metrics/totals.h"

/*
 * A family's samples stand together, so the VMs are walked once for each family; what is said of a VM costs the same
 * however many there are. Dead VMs have no samples of their own: they are in the totals, and in the history.
 */

typedef struct Target {
        const VmInfo *info; /* borrowed */
        char *labels;       /* owned */
} Target;

typedef struct Targets {
        Target *items; /* owned */
        size_t n;
} Targets;

static void targets_deinit(Targets *targets) {
        for (size_t i = 0; i < targets->n; i++)
                free(targets->items[i].labels);
        free(targets->items);
        *targets = (Targets){0};
}

static int add_target(Targets *targets, const VmInfo *info) {
        char uid[16];
        MetricLabel labels[] = {{"vm", info->name}, {"uid", uid}, {0}};
        Target *target = &targets->items[targets->n];
        int r;

        (void) snprintf(uid, sizeof(uid), "%u", info->owner_uid);
        r = metric_labels_format(labels, &target->labels);
        if (r < 0)
                return r;
        target->info = info;
        targets->n++;
        return 0;
}

static int collect_targets(const Manager *manager, ExporterFilterFn may_see, void *userdata,
                           Targets *targets) {
        targets->items = calloc(manager_n_vms(manager) + 1, sizeof(*targets->items));
        if (!targets->items)
                return -ENOMEM;
        for (const Vm *vm = manager_first_vm(manager); vm; vm = manager_next_vm(manager, vm)) {
                const VmInfo *info = vm_info(vm);
                int r;

                if (vm_state_is_final(info->state) || !may_see(userdata, info))
                        continue;
                r = add_target(targets, info);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- the numbers of one VM ---- */

static uint64_t get_up(const VmInfo *info) {
        return info->pid > 0;
}

static uint64_t get_vcpus(const VmInfo *info) {
        return info->n_vcpus;
}

static uint64_t get_memory(const VmInfo *info) {
        return info->memory_bytes;
}

static uint64_t get_guest_cpu(const VmInfo *info) {
        return info->usage.guest_cpu_usec;
}

static uint64_t get_resident_peak(const VmInfo *info) {
        return info->usage.rss_peak_bytes;
}

static uint64_t get_guest_resident(const VmInfo *info) {
        return info->usage.rss_guest_bytes;
}

static uint64_t get_guest_resident_peak(const VmInfo *info) {
        return info->usage.rss_guest_peak_bytes;
}

static uint64_t get_vmm_resident(const VmInfo *info) {
        return info->usage.rss_vmm_bytes;
}

static uint64_t get_vmm_resident_peak(const VmInfo *info) {
        return info->usage.rss_vmm_peak_bytes;
}

static uint64_t get_created(const VmInfo *info) {
        return info->created_usec;
}

static uint64_t get_started(const VmInfo *info) {
        return info->started_usec;
}

static const struct {
        MetricFamily family;
        uint64_t (*get)(const VmInfo *info); /* in microseconds where the unit is seconds */
} numbers[] = {
        {{"vivarium_vm_up", NULL, "Whether the VMM is running.", METRIC_GAUGE}, get_up},
        {{"vivarium_vm_vcpus", NULL, "Virtual CPUs.", METRIC_GAUGE}, get_vcpus},
        {{"vivarium_vm_memory_bytes", "bytes", "Memory that the guest was given.", METRIC_GAUGE},
         get_memory},
        {{"vivarium_vm_guest_cpu_seconds", "seconds", "Time that guest code ran, on all vCPUs.",
          METRIC_COUNTER},
         get_guest_cpu},
        {{"vivarium_vm_resident_peak_bytes", "bytes",
          "Most host memory that guest and VMM together took at once.", METRIC_GAUGE},
         get_resident_peak},
        {{"vivarium_vm_guest_resident_bytes", "bytes", "Guest memory that takes up host memory.",
          METRIC_GAUGE},
         get_guest_resident},
        {{"vivarium_vm_guest_resident_peak_bytes", "bytes",
          "Most guest memory that was seen to take up host memory.", METRIC_GAUGE},
         get_guest_resident_peak},
        {{"vivarium_vm_vmm_resident_bytes", "bytes",
          "Host memory of the VMM itself, without guest memory.", METRIC_GAUGE},
         get_vmm_resident},
        {{"vivarium_vm_vmm_resident_peak_bytes", "bytes",
          "Most host memory that the VMM itself was seen to take.", METRIC_GAUGE},
         get_vmm_resident_peak},
        {{"vivarium_vm_created_timestamp_seconds", "seconds",
          "When the VM was created, since the epoch.", METRIC_GAUGE},
         get_created},
        {{"vivarium_vm_started_timestamp_seconds", "seconds",
          "When the VMM was started, since the epoch; 0 before that.", METRIC_GAUGE},
         get_started},
};

static void write_numbers(Exposition *exposition, const Targets *targets) {
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                const MetricFamily *family = &numbers[i].family;

                exposition_begin(exposition, family);
                for (size_t k = 0; k < targets->n; k++) {
                        const Target *target = &targets->items[k];
                        uint64_t value = numbers[i].get(target->info);

                        if (family->unit && str_eq(family->unit, "seconds"))
                                exposition_add_usec(exposition, target->labels, value);
                        else
                                exposition_add_count(exposition, target->labels, value);
                }
        }
}

static int write_infos(Exposition *exposition, const Targets *targets) {
        static const MetricFamily family = {"vivarium_vm", NULL, "What a VM is.", METRIC_INFO};

        exposition_begin(exposition, &family);
        for (size_t i = 0; i < targets->n; i++) {
                const VmInfo *info = targets->items[i].info;
                _cleanup_(freep) char *labels = NULL;
                char uid[16], cid[16];
                MetricLabel all[] = {
                        {"vm", info->name},
                        {"uid", uid},
                        {"id", info->id},
                        {"cid", cid},
                        {"hypervisor", request_hypervisor_to_string(info->hypervisor)},
                        {0},
                };
                int r;

                (void) snprintf(uid, sizeof(uid), "%u", info->owner_uid);
                (void) snprintf(cid, sizeof(cid), "%u", info->cid);
                r = metric_labels_format(all, &labels);
                if (r < 0)
                        return r;
                exposition_add_count(exposition, labels, 1);
        }
        return 0;
}

/* A living VM is one or the other, so the final states are left out. */
static void write_states(Exposition *exposition, const Targets *targets) {
        static const MetricFamily family = {"vivarium_vm_state", NULL, "State of a living VM.",
                                            METRIC_STATE_SET};
        static const VmState living[] = {VM_NOT_STARTED, VM_RUNNING};

        exposition_begin(exposition, &family);
        for (size_t i = 0; i < targets->n; i++)
                for (size_t k = 0; k < ELEMENTSOF(living); k++)
                        exposition_add_state(exposition, targets->items[i].labels,
                                             vm_state_to_string(living[k]),
                                             targets->items[i].info->state == living[k]);
}

static void write_payload_states(Exposition *exposition, const Targets *targets) {
        static const MetricFamily family = {"vivarium_vm_payload_state", NULL,
                                            "How far the payload of a living VM has come.",
                                            METRIC_STATE_SET};

        exposition_begin(exposition, &family);
        for (size_t i = 0; i < targets->n; i++)
                for (unsigned k = 0; k < VM_PAYLOAD_STATE_COUNT; k++)
                        exposition_add_state(exposition, targets->items[i].labels,
                                             vm_payload_state_to_string((VmPayloadState) k),
                                             targets->items[i].info->payload == (VmPayloadState) k);
}

/* ---- the daemon's ---- */

static int add_labelled(Exposition *exposition, const char *name, const char *value,
                        uint64_t count) {
        MetricLabel labels[] = {{name, value}, {0}};
        _cleanup_(freep) char *text = NULL;
        int r;

        r = metric_labels_format(labels, &text);
        if (r < 0)
                return r;
        exposition_add_count(exposition, text, count);
        return 0;
}

static int write_vms(Exposition *exposition, const Manager *manager) {
        static const MetricFamily family = {"vivarium_vms", NULL,
                                            "VM objects by state, dead ones of the history too.",
                                            METRIC_GAUGE};
        uint64_t counts[VM_STATE_COUNT] = {0};

        for (const Vm *vm = manager_first_vm(manager); vm; vm = manager_next_vm(manager, vm))
                counts[vm_info(vm)->state]++;
        exposition_begin(exposition, &family);
        for (unsigned i = 0; i < VM_STATE_COUNT; i++) {
                int r = add_labelled(exposition, "state", vm_state_to_string((VmState) i),
                                     counts[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int write_totals(Exposition *exposition, const Totals *totals) {
        static const MetricFamily creations = {"vivarium_vm_creations", NULL,
                                               "Calls of CreateVm() since the daemon was started.",
                                               METRIC_COUNTER};
        static const MetricFamily deaths = {"vivarium_vm_deaths", NULL,
                                            "VMs that ended since the daemon was started.",
                                            METRIC_COUNTER};
        static const MetricFamily boot = {"vivarium_vm_boot_seconds", "seconds",
                                          "From the start of a VM to that of its payload.",
                                          METRIC_HISTOGRAM};
        static const MetricFamily run = {"vivarium_vm_run_seconds", "seconds",
                                         "How long VMs that ended had run.", METRIC_HISTOGRAM};
        int r;

        exposition_begin(exposition, &creations);
        r = add_labelled(exposition, "result", "created", totals->created);
        if (r == 0)
                r = add_labelled(exposition, "result", "refused", totals->refused);
        exposition_begin(exposition, &deaths);
        for (unsigned i = 0; r == 0 && i < DEATH_REASON_COUNT; i++)
                r = add_labelled(exposition, "reason", death_reason_to_string(death_reason_at(i)),
                                 totals->deaths[i]);
        exposition_begin(exposition, &boot);
        exposition_add_histogram(exposition, &totals->boot);
        exposition_begin(exposition, &run);
        exposition_add_histogram(exposition, &totals->run);
        return r;
}

static int write_daemon(Exposition *exposition) {
        static const MetricFamily build = {"vivarium_build", NULL, "Version of the daemon.",
                                           METRIC_INFO};
        static const MetricFamily cpu = {"process_cpu_seconds", "seconds",
                                         "Processor time of the daemon.", METRIC_COUNTER};
        static const MetricFamily resident = {"process_resident_memory_bytes", "bytes",
                                              "Memory of the daemon.", METRIC_GAUGE};
        struct rusage self;
        Usage usage = {0};
        int r;

        exposition_begin(exposition, &build);
        r = add_labelled(exposition, "version", VIVARIUM_VERSION, 1);
        if (getrusage(RUSAGE_SELF, &self) == 0) {
                exposition_begin(exposition, &cpu);
                exposition_add_usec(
                        exposition, NULL,
                        (usec_t) (self.ru_utime.tv_sec + self.ru_stime.tv_sec) * USEC_PER_SEC +
                                (usec_t) (self.ru_utime.tv_usec + self.ru_stime.tv_usec));
        }
        if (sample_usage(getpid(), /* software= */ false, &usage) == 0) {
                exposition_begin(exposition, &resident);
                exposition_add_count(exposition, NULL, usage.rss_guest_bytes + usage.rss_vmm_bytes);
        }
        return r;
}

/**
 * exporter_write() - everything there is to say, as text
 * @may_see: which living VMs the reader may see; the sums are everybody's
 * @ret:     set on success only; owned by the caller
 *
 * Usage is that of the last sampling, so that a reader costs no VM anything. Return: 0 or -ENOMEM.
 */
int exporter_write(const Manager *manager, ExpositionFormat format, ExporterFilterFn may_see,
                   void *userdata, char **ret) {
        _cleanup_(exposition_deinit) Exposition exposition = {.format = format};
        _cleanup_(targets_deinit) Targets targets = {0};
        int r;

        r = collect_targets(manager, may_see, userdata, &targets);
        if (r < 0)
                return r;
        r = write_daemon(&exposition);
        if (r == 0)
                r = write_vms(&exposition, manager);
        if (r == 0)
                r = write_totals(&exposition, manager_read_totals(manager));
        if (r == 0)
                r = write_infos(&exposition, &targets);
        if (r < 0)
                return r;
        write_states(&exposition, &targets);
        write_payload_states(&exposition, &targets);
        write_numbers(&exposition, &targets);
        return exposition_finish(&exposition, ret);
}
