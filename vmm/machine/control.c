/* SPDX-License-Identifier: Apache-2.0 */

/* What the control socket may ask of the machine itself; devices add their own requests to Machine.control. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "vmm/machine/machine_internal.h"

static void on_exit_request(void *userdata, ControlCall *call) {
        control_call_ok(call);
        log_info("stopping on request");
        machine_halt(userdata, HALT_STOP);
}

/* A machine of which a snapshot is taken rests until that is done. */
static bool fail_during_snapshot(const Machine *machine, ControlCall *call) {
        if (!machine_snapshot_is_taken(machine))
                return false;
        control_call_fail(call, "a snapshot is being taken");
        return true;
}

/* Whoever asked for the devices to rest hears of it when they do. */
static void on_suspend(void *userdata, ControlCall *call) {
        const bool devices = control_call_request(call)->kind == CONTROL_SUSPEND_VM;
        Machine *machine = userdata;

        if (fail_during_snapshot(machine, call))
                return;
        machine_suspend(machine, devices);
        if (!devices || pci_root_is_at_rest(machine->pci))
                control_call_ok(call);
        else if (machine->suspending)
                control_call_fail(call, "the devices are coming to rest already");
        else
                machine->suspending = call;
}

static void on_rest(void *userdata) {
        Machine *machine = userdata;

        if (machine->suspending)
                control_call_ok(TAKE(machine->suspending));
        machine_snapshot_rested(machine);
}

static void on_resume(void *userdata, ControlCall *call) {
        Machine *machine = userdata;

        if (fail_during_snapshot(machine, call))
                return;
        if (machine_unsuspend(machine, control_call_request(call)->kind == CONTROL_RESUME_VM) < 0) {
                control_call_fail(call, "the devices are suspended too; use ResumeVm");
                return;
        }
        if (machine->suspending)
                control_call_fail(TAKE(machine->suspending), "it was resumed meanwhile");
        control_call_ok(call);
}

static void on_state(void *userdata, ControlCall *call) {
        const Machine *machine = userdata;
        const ControlAnswer answer = {
                .kind = CONTROL_ANSWER_STATE,
                .vcpus_suspended = machine->suspended,
                .devices_suspended =
                        machine->devices_suspended && pci_root_is_at_rest(machine->pci),
        };

        control_call_answer(call, &answer);
}

static void on_button(void *userdata, ControlCall *call) {
        const Machine *machine = userdata;

        if (control_call_request(call)->kind == CONTROL_POWERBTN)
                acpi_pm_press_power_button(machine->acpi_pm);
        else
                acpi_pm_press_sleep_button(machine->acpi_pm);
        control_call_ok(call);
}

static bool is_eventfd(int fd) {
        char text[64];

        return fd_describe(fd, text, sizeof(text)) >= 0 && strstr(text, "[eventfd]");
}

static void on_gpe(void *userdata, ControlCall *call) {
        const ControlRequest *request = control_call_request(call);
        _cleanup_(fd_closep) int cleared_fd = control_call_take_fd(call);
        const Machine *machine = userdata;

        if (request->index >= ACPI_GPE_COUNT) {
                control_call_fail(call, "there are events 0 to %u", ACPI_GPE_COUNT - 1);
                return;
        }
        if (cleared_fd >= 0 && !is_eventfd(cleared_fd)) {
                control_call_fail(call, "clear_evt is no eventfd");
                return;
        }
        /* A vCPU's thread writes to it and must not wait for whoever should read. */
        if (cleared_fd >= 0)
                (void) fd_set_nonblock(cleared_fd, true);
        (void) acpi_pm_raise_gpe_consume(machine->acpi_pm, request->index, TAKE_FD(cleared_fd));
        control_call_ok(call);
}

static void on_vcpu_pid_tid(void *userdata, ControlCall *call) {
        const Machine *machine = userdata;
        ControlVcpu vcpus[HV_VCPUS_MAX];
        const ControlAnswer answer = {
                .kind = CONTROL_ANSWER_VCPUS,
                .vcpus = vcpus,
                .n_vcpus = machine->n_vcpus,
        };

        for (unsigned i = 0; i < machine->n_vcpus; i++)
                vcpus[i] = (ControlVcpu){.pid = getpid(), .tid = machine->vcpus[i].tid};
        control_call_answer(call, &answer);
}

/**
 * machine_open_control() - register the machine's own requests and listen where @config says, if anywhere
 *
 * Return: 0; negative errno with a sentence.
 */
int machine_open_control(Machine *machine, const VmmConfig *config, TextError *reterr) {
        static const struct {
                ControlKind kind;
                ControlHandler handler;
        } handlers[] = {
                {CONTROL_EXIT, on_exit_request},         {CONTROL_SUSPEND_VCPUS, on_suspend},
                {CONTROL_SUSPEND_VM, on_suspend},        {CONTROL_RESUME_VCPUS, on_resume},
                {CONTROL_RESUME_VM, on_resume},          {CONTROL_STATE, on_state},
                {CONTROL_VCPU_PID_TID, on_vcpu_pid_tid}, {CONTROL_POWERBTN, on_button},
                {CONTROL_SLEEPBTN, on_button},           {CONTROL_GPE, on_gpe},
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(handlers); i++)
                control_server_handle(machine->control, handlers[i].kind, handlers[i].handler,
                                      machine);
        pci_root_set_rest_handler(machine->pci, on_rest, machine);
        machine_handle_disk_requests(machine);
        machine_handle_network_requests(machine);
        machine_handle_vfio_requests(machine);
        machine_handle_stats_request(machine);
        machine_handle_placement_request(machine);
        if (!config->socket)
                return 0;
        if (config->suspended_vcpus)
                machine_suspend(machine, /* devices= */ false);
        if (config->suspended)
                machine_suspend(machine, /* devices= */ true);
        r = control_server_listen(machine->control, config->socket, reterr);
        return r < 0 ? text_error_prefix(reterr, r, "--socket") : 0;
}
