/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/log.h"
#include "vmm/machine/machine_internal.h"

/* How long a machine that ended waits for readers of its consoles. */
#define DRAIN_NSEC NSEC_PER_SEC

static void drain_consoles(Machine *machine) {
        uint64_t due = clock_monotonic_nsec() + DRAIN_NSEC;

        for (unsigned i = 0; i < machine->n_chardevs; i++) {
                uint64_t dropped;

                char_drain(machine->chardevs[i], due);
                dropped = char_dropped_bytes(machine->chardevs[i]);
                if (dropped > 0)
                        log_warning(
                                "%llu bytes of console output were dropped, because nobody read "
                                "them in time",
                                (unsigned long long) dropped);
        }
}

/**
 * machine_halt() - end the machine; any thread, returns at once
 * @reason: counts only if it is the first
 *
 * All vCPUs leave the guest soon after, and machine_run() returns.
 */
void machine_halt(Machine *machine, HaltReason reason) {
        if (!machine_ramdump_takes(machine->ramdump, reason))
                machine_halt_now(machine, reason);
}

/** machine_press_power_button() - ask the guest to shut down, which it may or may not do; any thread */
void machine_press_power_button(Machine *machine) {
        acpi_pm_press_power_button(machine->acpi_pm);
}

/** machine_halt_now() - machine_halt() for a panic whose dump is written, and for all else */
void machine_halt_now(Machine *machine, HaltReason reason) {
        HaltReason none = HALT_NONE;

        if (!atomic_compare_exchange_strong(&machine->halt_reason, &none, reason))
                return;
        machine_park_wake(machine);
        for (unsigned i = 0; i < machine->n_kicks; i++)
                machine->partition->ops->kick(machine->partition, i);
        loop_exit(machine->loop);
}

/**
 * machine_run() - run the guest and the loop until the machine ends; once
 * @ret: why it ended, never HALT_NONE
 *
 * When it returns no vCPU runs any more and console output has been written out.
 *
 * Return: 0; negative errno with a sentence when the guest could not be started or the loop failed.
 */
int machine_run(Machine *machine, HaltReason *ret, TextError *reterr) {
        int r;

        r = machine_start_vcpus(machine, reterr);
        if (r < 0)
                return r;
        if (machine->restored) {
                free(TAKE(machine->restored));
                machine_resume(machine);
        }
        r = loop_run(machine->loop);
        if (r < 0)
                machine_halt(machine, HALT_ERROR);
        machine_join_vcpus(machine);
        drain_consoles(machine);
        if (r < 0)
                return text_error_set(reterr, r, "the event loop failed");
        *ret = atomic_load(&machine->halt_reason);
        machine_debugger_ended(machine, machine_exit_status(*ret, /* extended= */ true));
        return 0;
}
