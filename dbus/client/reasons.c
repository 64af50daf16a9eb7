/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/reasons.h"

#include "base/cleanup.h"

/* Codes and names are part of the bus contract. Codes 9 and 10 were never used by it. */
const DeathReason death_reasons[] = {
        {0, "INFRASTRUCTURE_ERROR", "the service could not wait for the VMM"},
        {1, "KILLED", "killed by request"},
        {2, "UNKNOWN", "the VMM ended with a status that has no meaning"},
        {DEATH_REASON_SHUTDOWN, "SHUTDOWN", "the guest powered off"},
        {4, "START_FAILED", "the VM could not be started"},
        {5, "REBOOT", "the guest asked for a reboot, which ends a VM"},
        {6, "CRASH", "the guest's CPU or the VMM could not go on"},
        {7, "PVM_FIRMWARE_PUBLIC_KEY_MISMATCH", "the guest's firmware refused the image's key"},
        {8, "PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED", "the guest's firmware found a changed image"},
        {11, "MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE",
         "the guest could not reach the service"},
        {12, "MICRODROID_PAYLOAD_HAS_CHANGED", "the guest found a changed payload"},
        {13, "MICRODROID_PAYLOAD_VERIFICATION_FAILED", "the guest could not verify its payload"},
        {14, "MICRODROID_INVALID_PAYLOAD_CONFIG", "the guest refused its payload's config"},
        {15, "MICRODROID_UNKNOWN_RUNTIME_ERROR", "the guest reported an error"},
        {16, "HANGUP", "the guest's payload did not start in time"},
        {17, "WATCHDOG_REBOOT", "the guest stopped serving its watchdog"},
        {100, "GUEST_PANIC", "the guest's kernel panicked"},
        {101, "VMM_INVALID_ARGS", "the VMM refused its command line"},
        {102, "VMM_CRASH", "the VMM was ended by a signal nobody asked for"},
        {103, "OUT_OF_MEMORY", "the host's kernel killed the VMM for want of memory"},
        {104, "VMM_SECCOMP", "the VMM broke its system call filter"},
        {105, "LOST", "the VMM ended while the service was down"},
};
const size_t n_death_reasons = ELEMENTSOF(death_reasons);

/** death_reason_find() - by its code, or NULL */
const DeathReason *death_reason_find(int64_t code) {
        for (size_t i = 0; i < n_death_reasons; i++)
                if (death_reasons[i].code == code)
                        return &death_reasons[i];
        return NULL;
}

/**
 * exit_status_for_reason() - what `vivctl run` exits with after a VM's end
 *
 * SHUTDOWN is 0. The others are 10 + code, those above 100 are 40 + (code - 100): clear of 1 and 2, of sysexits.h
 * and of what shells use for signals. A reason that this version does not know is EXIT_STATUS_UNKNOWN_REASON.
 */
int exit_status_for_reason(int64_t code) {
        if (!death_reason_find(code))
                return EXIT_STATUS_UNKNOWN_REASON;
        if (code == DEATH_REASON_SHUTDOWN)
                return EXIT_STATUS_OK;
        return (int) (code < 100 ? 10 + code : 40 + (code - 100));
}
