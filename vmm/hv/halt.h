/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Why a machine stops running its vCPUs. Processors and devices report it in the same way. */

typedef enum HaltReason {
        HALT_NONE,         /* still running */
        HALT_STOP,         /* the VMM asked: control socket, signal */
        HALT_POWER_OFF,    /* ACPI S5 */
        HALT_RESET,        /* reset port, keyboard controller, ACPI reset register */
        HALT_TRIPLE_FAULT, /* a processor shut down */
        HALT_GUEST_PANIC,  /* pvpanic */
        HALT_WATCHDOG,     /* the watchdog's second stage ran out */
        HALT_TEST_EXIT,    /* a test program wrote its status to the test device */
        HALT_DEBUG,        /* what a debugger asked a processor to stop at: Vcpu.debug_stop */
        HALT_ERROR, /* the hypervisor could not go on: emulation failure, failed entry, device crash */
} HaltReason;

/* Where devices send a halt; a value type that they keep a copy of. The first reason reported wins. */
typedef struct HaltSink {
        void (*halt)(void *machine, HaltReason reason); /* any thread; returns at once */
        void *machine;                                  /* borrowed, outlives the device */
} HaltSink;

/** halt_sink_report() - ask the machine to stop for @reason; vCPUs leave the guest soon after */
static inline void halt_sink_report(const HaltSink *sink, HaltReason reason) {
        sink->halt(sink->machine, reason);
}
