/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/machine.h"

/**
 * machine_exit_status() - the VMM's exit status for a machine that ended for @reason
 * @extended: as crosvm's --extended-status; without it every end of a machine that ran is a success
 */
int machine_exit_status(HaltReason reason, bool extended) {
        if (!extended)
                return VMM_EXIT_STOPPED;
        switch (reason) {
        case HALT_NONE:
        case HALT_STOP:
        case HALT_POWER_OFF:
                return VMM_EXIT_STOPPED;
        case HALT_RESET:
                return VMM_EXIT_RESET;
        case HALT_TRIPLE_FAULT:
        case HALT_ERROR:
                return VMM_EXIT_CRASH;
        case HALT_GUEST_PANIC:
                return VMM_EXIT_GUEST_PANIC;
        case HALT_DEBUG:     /* goes to the debugger, who decides */
        case HALT_TEST_EXIT: /* has a status of its own: machine_test_status() */
                return VMM_EXIT_ERROR;
        case HALT_WATCHDOG:
                return VMM_EXIT_WATCHDOG;
        }
        return VMM_EXIT_ERROR;
}
