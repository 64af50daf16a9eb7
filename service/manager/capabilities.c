/* SPDX-License-Identifier: Apache-2.0 */
#include "service/manager/capabilities.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/monitor/drain.h"
#include "service/monitor/process.h"

/*
 * The probe runs a small guest, and a host whose virtualization is broken may hang or kill whoever does that. So it
 * is the VMM that probes, when the daemon starts and when somebody asks; the daemon reads what it prints and knows
 * "no" when that does not come. While a later probe runs, what the last one found still holds.
 */

#define KVM_DEVICE "/dev/kvm"
#define PROBE_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define PROBE_OUTPUT_BYTES_MAX 4096u

struct Capabilities {
        sd_event *event; /* owned reference */
        char *vmm_path;  /* owned */
        VmmDialect dialect;
        Process *process;          /* owned; while the probe runs */
        Drain *output;             /* owned; likewise */
        sd_event_source *deadline; /* owned; likewise */
        bool timed_out;
        bool is_known;
        HypervisorProbe found[CAPABILITIES_HYPERVISORS];  /* by the probe that runs */
        HypervisorProbe probes[CAPABILITIES_HYPERVISORS]; /* by the last that is over */
        CapabilitiesKnownFn known;
        void *userdata; /* borrowed */
};

/* Place of kvm and soft in the array. */
static size_t probe_index(VmmHypervisor hypervisor) {
        return hypervisor == VMM_HYPERVISOR_SOFT ? 1 : 0;
}

static void set_all_unavailable(Capabilities *caps, const char *reason) {
        caps->found[0].hypervisor = VMM_HYPERVISOR_KVM;
        caps->found[1].hypervisor = VMM_HYPERVISOR_SOFT;
        for (size_t i = 0; i < ELEMENTSOF(caps->found); i++) {
                caps->found[i].available = false;
                (void) snprintf(caps->found[i].reason, sizeof(caps->found[i].reason), "%s", reason);
        }
}

static void describe_end(const Capabilities *caps, const ProcessExit *end, char *buf, size_t size) {
        if (caps->timed_out)
                (void) snprintf(buf, size, "the VMM's probe hung");
        else if (end->exited)
                (void) snprintf(buf, size, "the VMM's probe ended with exit status %d",
                                end->status);
        else
                (void) snprintf(buf, size, "the VMM's probe died by signal %d", end->status);
}

static void parse_output(Capabilities *caps, char *text) {
        char *state = NULL;

        for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
                HypervisorProbe probe;

                if (hypervisor_probe_parse(line, &probe) < 0)
                        continue; /* a VMM may know more hypervisors than we do */
                caps->found[probe_index(probe.hypervisor)] = probe;
        }
}

static void finish(Capabilities *caps) {
        caps->deadline = sd_event_source_disable_unref(caps->deadline);
        caps->process = process_free(caps->process);
        caps->output = drain_free(caps->output);
        caps->is_known = true;
        memcpy(caps->probes, caps->found, sizeof(caps->probes));
        for (size_t i = 0; i < ELEMENTSOF(caps->probes); i++)
                log_info("hypervisor %s: %s, %s",
                         caps->probes[i].hypervisor == VMM_HYPERVISOR_KVM ? "kvm" : "soft",
                         caps->probes[i].available ? "available" : "not available",
                         caps->probes[i].reason);
        caps->known(caps->userdata);
}

static void on_probe_ended(void *userdata) {
        Capabilities *caps = userdata;
        _cleanup_(freep) char *text = NULL;
        char reason[sizeof(caps->probes[0].reason)];
        ProcessExit end = {.exited = true};
        size_t len;

        process_kill_group(caps->process);
        (void) drain_now(caps->output);
        if (process_reap(caps->process, &end) < 0)
                set_all_unavailable(caps, "the VMM's probe was lost");
        else {
                describe_end(caps, &end, reason, sizeof(reason));
                if (!end.exited || end.status != 0)
                        set_all_unavailable(caps, reason);
                if (drain_copy(caps->output, SIZE_MAX, &text, &len) == 0)
                        parse_output(caps, text);
        }
        finish(caps);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Capabilities *caps = userdata;

        caps->timed_out = true;
        (void) process_kill(caps->process, SIGKILL);
        return 0;
}

static int start_probe(Capabilities *caps) {
        _cleanup_(fd_closep) int out = -EBADF;
        char verb[] = HYPERVISOR_PROBE_VERB;
        char *argv[] = {caps->vmm_path, verb, NULL};
        ProcessSpec spec = {.argv = argv};
        int r;

        caps->timed_out = false;
        r = drain_new(caps->event,
                      &(DrainSpec){.keep = DRAIN_KEEP_HEAD,
                                   .keep_bytes = PROBE_OUTPUT_BYTES_MAX,
                                   .file = -EBADF},
                      &caps->output, &out);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(caps->event, &caps->deadline, CLOCK_MONOTONIC,
                                       PROBE_TIMEOUT_USEC, /* accuracy= */ 0, on_deadline, caps);
        if (r < 0)
                return r;
        spec.stdout_fd = out;
        return process_spawn(caps->event, &spec, on_probe_ended, caps, &caps->process);
}

static void set_not_executable(Capabilities *caps, int r) {
        char reason[sizeof(caps->found[0].reason)];

        (void) snprintf(reason, sizeof(reason), "execute %.128s: %s", caps->vmm_path, strerror(-r));
        set_all_unavailable(caps, reason);
}

/* A crosvm has no verb for it, and only its own guests tell whether a /dev/kvm is any good. */
static void look_for_crosvm(Capabilities *caps) {
        HypervisorProbe *kvm = &caps->found[probe_index(VMM_HYPERVISOR_KVM)];
        int r = access(caps->vmm_path, X_OK) < 0 ? -errno : 0;

        if (r < 0) {
                set_not_executable(caps, r);
                finish(caps);
                return;
        }
        r = access(KVM_DEVICE, R_OK | W_OK) < 0 ? -errno : 0;
        set_all_unavailable(caps, "the VMM is a crosvm, which has no software processor");
        kvm->available = r == 0;
        (void) snprintf(kvm->reason, sizeof(kvm->reason), KVM_DEVICE "%s%s",
                        r == 0 ? " is there; not tried, because the VMM is a crosvm" : ": ",
                        r == 0 ? "" : strerror(-r));
        finish(caps);
}

/**
 * capabilities_probe_again() - find out anew, unless that is under way already
 *
 * The function that capabilities_new() was given is called when it is over; before this returns if the VMM cannot be
 * executed.
 */
void capabilities_probe_again(Capabilities *caps) {
        int r;

        if (caps->process)
                return;
        if (caps->dialect != VMM_DIALECT_VIVARIUM) {
                look_for_crosvm(caps);
                return;
        }
        set_all_unavailable(caps, "the VMM has no such hypervisor");
        r = start_probe(caps);
        if (r < 0) {
                set_not_executable(caps, r);
                finish(caps);
        }
}

/**
 * capabilities_new() - start finding out
 * @vmm_path: executed with the verb "probe" if it is ours; copied
 * @known:    called from the event loop when a probe is over, or before this returns if the VMM cannot be executed
 *
 * Return: 0; -ENOMEM.
 */
int capabilities_new(sd_event *event, const char *vmm_path, VmmDialect dialect,
                     CapabilitiesKnownFn known, void *userdata, Capabilities **ret) {
        _cleanup_(capabilities_freep) Capabilities *caps = malloc(sizeof(*caps));

        if (!caps)
                return -ENOMEM;
        *caps = (Capabilities){.event = sd_event_ref(event),
                               .vmm_path = strdup(vmm_path),
                               .dialect = dialect,
                               .known = known,
                               .userdata = userdata};
        if (!caps->vmm_path)
                return -ENOMEM;
        capabilities_probe_again(caps);
        *ret = TAKE(caps);
        return 0;
}

/** capabilities_free() - release @caps, which may be NULL; a probe that is under way ends. Return: NULL. */
Capabilities *capabilities_free(Capabilities *caps) {
        if (!caps)
                return NULL;
        (void) sd_event_source_disable_unref(caps->deadline);
        (void) process_free(caps->process);
        (void) drain_free(caps->output);
        (void) sd_event_unref(caps->event);
        free(caps->vmm_path);
        free(caps);
        return NULL;
}

/** capabilities_operations() - methods of a running VM that its VMM serves, by name; static, NULL-terminated */
const char *const *capabilities_operations(const Capabilities *caps) {
        static const char *const ours[] = {
                "AddDisk", "ConnectVsock", "DumpMemory", "GetMemoryBalloon", "ListDisks",
                "OpenGdb", "RemoveDisk",   "ResizeDisk", "Resume",           "SetMemoryBalloon",
                "Suspend", "TrimMemory",   NULL,
        };
        static const char *const crosvms[] = {
                "ConnectVsock",     "GetMemoryBalloon", "ResizeDisk", "Resume",
                "SetMemoryBalloon", "Suspend",          "TrimMemory", NULL,
        };

        return caps->dialect == VMM_DIALECT_VIVARIUM ? ours : crosvms;
}

/** capabilities_known() - whether the probe is over */
bool capabilities_known(const Capabilities *caps) {
        return caps->is_known;
}

/** capabilities_hypervisor() - what is known of kvm or soft; borrowed; NULL for auto */
const HypervisorProbe *capabilities_hypervisor(const Capabilities *caps, VmmHypervisor hypervisor) {
        return hypervisor == VMM_HYPERVISOR_AUTO ? NULL : &caps->probes[probe_index(hypervisor)];
}

/** capabilities_default_hypervisor() - what "auto" comes to here: "kvm", "soft" or "none" */
const char *capabilities_default_hypervisor(const Capabilities *caps) {
        if (!caps->is_known)
                return "none";
        if (caps->probes[probe_index(VMM_HYPERVISOR_KVM)].available)
                return "kvm";
        return caps->probes[probe_index(VMM_HYPERVISOR_SOFT)].available ? "soft" : "none";
}
