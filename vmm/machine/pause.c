/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pausing: every vCPU leaves the guest and waits on its thread, where it can be asked for its registers, and guest time
 * stands still. Pauses nest: a debugger, a dump and a suspended machine may overlap.
 *
 * A vCPU looks at the park each time before it enters the guest, and leaves the guest when it sees Machine.stop; both are
 * changed under the park's lock, so that no vCPU is missed. The lock is a leaf: devices end machines with their own held.
 */

#include <errno.h>

#include "vmm/machine/machine_internal.h"

/** machine_park_init() - nothing is paused */
void machine_park_init(MachinePark *park) {
        pthread_mutex_init(&park->lock, NULL);
        pthread_cond_init(&park->changed, NULL);
}

/** machine_park_deinit() - release; no vCPU is left */
void machine_park_deinit(MachinePark *park) {
        pthread_cond_destroy(&park->changed);
        pthread_mutex_destroy(&park->lock);
}

static bool is_halted(Machine *machine) {
        return atomic_load(&machine->halt_reason) != HALT_NONE;
}

/** machine_park_wake() - the machine was halted: vCPUs leave the guest and the park; any thread */
void machine_park_wake(Machine *machine) {
        pthread_mutex_lock(&machine->park.lock);
        atomic_store(&machine->stop, true);
        pthread_cond_broadcast(&machine->park.changed);
        pthread_mutex_unlock(&machine->park.lock);
}

/* Does what was asked of @vcpu. Park lock held; it is not while the job runs. Return: whether anything was. */
static bool run_job(MachinePark *park, Vcpu *vcpu) {
        MachineJob *job = &park->job;

        if (!job->fn || job->done || job->vcpu != vcpu->index)
                return false;
        pthread_mutex_unlock(&park->lock);
        job->fn(vcpu, job->userdata);
        pthread_mutex_lock(&park->lock);
        job->done = true;
        pthread_cond_broadcast(&park->changed);
        return true;
}

/**
 * machine_park_pass() - wait on the vCPU's thread until it may enter the guest
 *
 * Return: true to enter; false when the machine was halted.
 */
bool machine_park_pass(Machine *machine, Vcpu *vcpu) {
        MachinePark *park = &machine->park;
        MachineVcpu *self = &machine->vcpus[vcpu->index];
        bool pass;

        pthread_mutex_lock(&park->lock);
        self->place = MACHINE_VCPU_PARKED;
        pthread_cond_broadcast(&park->changed);
        while ((park->n_pauses > 0 || self->held) && !is_halted(machine))
                if (!run_job(park, vcpu))
                        pthread_cond_wait(&park->changed, &park->lock);
        pass = !is_halted(machine);
        if (pass)
                self->place = MACHINE_VCPU_INSIDE;
        pthread_mutex_unlock(&park->lock);
        return pass;
}

/** machine_park_hold() - let a vCPU wait in the park whatever the machine does, or no longer; while it is paused */
void machine_park_hold(Machine *machine, unsigned index, bool held) {
        pthread_mutex_lock(&machine->park.lock);
        machine->vcpus[index].held = held;
        pthread_cond_broadcast(&machine->park.changed);
        pthread_mutex_unlock(&machine->park.lock);
}

/** machine_park_stop() - a vCPU stops for the debugger, and is held; on its own thread */
void machine_park_stop(Machine *machine, unsigned index) {
        pthread_mutex_lock(&machine->park.lock);
        machine->vcpus[index].held = true;
        machine->vcpus[index].debug_stopped = true;
        pthread_mutex_unlock(&machine->park.lock);
}

/** machine_park_take_stop() - whether the vCPU stopped for the debugger since the last call */
bool machine_park_take_stop(Machine *machine, unsigned index) {
        MachineVcpu *vcpu = &machine->vcpus[index];
        bool stopped;

        pthread_mutex_lock(&machine->park.lock);
        stopped = vcpu->debug_stopped;
        vcpu->debug_stopped = false;
        pthread_mutex_unlock(&machine->park.lock);
        return stopped;
}

/** machine_park_leave() - the vCPU's thread ends; nobody waits for it any more */
void machine_park_leave(Machine *machine, MachineVcpu *vcpu) {
        pthread_mutex_lock(&machine->park.lock);
        vcpu->place = MACHINE_VCPU_ENDED;
        pthread_cond_broadcast(&machine->park.changed);
        pthread_mutex_unlock(&machine->park.lock);
}

static bool any_inside(const Machine *machine) {
        for (unsigned i = 0; machine->vcpus && i < machine->n_kicks; i++)
                if (machine->vcpus[i].place == MACHINE_VCPU_INSIDE)
                        return true;
        return false;
}

static void wait_for_vcpus(Machine *machine) {
        MachinePark *park = &machine->park;
        uint64_t start = clock_monotonic_nsec(), took;

        for (unsigned i = 0; i < machine->n_kicks; i++)
                machine->partition->ops->kick(machine->partition, i);
        pthread_mutex_lock(&park->lock);
        while (any_inside(machine))
                pthread_cond_wait(&park->changed, &park->lock);
        pthread_mutex_unlock(&park->lock);

        took = clock_monotonic_nsec() - start;
        park->n_stops++;
        park->stop_nsec += took;
        park->longest_stop_nsec = MAX(park->longest_stop_nsec, took);
}

/**
 * machine_pause() - take all vCPUs out of the guest and make guest time stand still
 *
 * On the loop's thread, with no device's lock held: a vCPU may have to finish an access first, which takes microseconds.
 * Before the machine runs it is fine too: then it starts paused. Undo each call with machine_resume().
 */
void machine_pause(Machine *machine) {
        const Partition *partition = machine->partition;
        MachinePark *park = &machine->park;
        bool first;

        pthread_mutex_lock(&park->lock);
        first = park->n_pauses++ == 0;
        atomic_store(&machine->stop, true);
        pthread_mutex_unlock(&park->lock);
        if (!first)
                return;

        wait_for_vcpus(machine);
        guest_clock_set_paused(machine->clock, true);
        (void) partition->ops->pause_time(machine->partition, true);
}

/** machine_resume() - undo one machine_pause(); with the last one the guest goes on as if no time had passed */
void machine_resume(Machine *machine) {
        MachinePark *park = &machine->park;
        bool last;

        pthread_mutex_lock(&park->lock);
        last = park->n_pauses == 1;
        pthread_mutex_unlock(&park->lock);
        if (last) {
                (void) machine->partition->ops->pause_time(machine->partition, false);
                guest_clock_set_paused(machine->clock, false);
        }

        pthread_mutex_lock(&park->lock);
        park->n_pauses--;
        if (last)
                atomic_store(&machine->stop, is_halted(machine));
        pthread_cond_broadcast(&park->changed);
        pthread_mutex_unlock(&park->lock);
}

/**
 * machine_on_vcpu() - run @fn on the thread of a parked vCPU and wait for it
 * @fn: may use the vCPU's get_state() and set_state(); must not block or call machine_*()
 *
 * While the machine is paused. Return: 0; -EINVAL for an index that does not exist; -ESRCH when that vCPU's thread has
 * ended or was never started.
 */
int machine_on_vcpu(Machine *machine, unsigned index, MachineVcpuFn fn, void *userdata) {
        MachinePark *park = &machine->park;
        const MachineVcpu *vcpu;
        bool done;

        if (index >= machine->n_kicks)
                return -EINVAL;
        if (!machine->vcpus)
                return -ESRCH;
        vcpu = &machine->vcpus[index];
        pthread_mutex_lock(&park->lock);
        park->job = (MachineJob){.vcpu = index, .fn = fn, .userdata = userdata};
        pthread_cond_broadcast(&park->changed);
        while (!park->job.done && vcpu->place != MACHINE_VCPU_ENDED)
                pthread_cond_wait(&park->changed, &park->lock);
        done = park->job.done;
        park->job = (MachineJob){0};
        pthread_mutex_unlock(&park->lock);
        return done ? 0 : -ESRCH;
}

/**
 * machine_suspend() - pause on request, until machine_unsuspend(); on a suspended machine it may add the devices
 * @devices: they rest too: queues are left alone, connections that cannot be suspended are reset
 */
void machine_suspend(Machine *machine, bool devices) {
        if (!machine->suspended)
                machine_pause(machine);
        machine->suspended = true;
        if (devices && !machine->devices_suspended) {
                machine->devices_suspended = true;
                pci_root_set_suspended(machine->pci, true);
        }
}

/**
 * machine_unsuspend() - let a suspended machine go on; without effect on one that is not
 * @devices: wake the devices as well
 *
 * Return: 0; -EBUSY when the devices are suspended and are not to be woken: vCPUs do not run without them.
 */
int machine_unsuspend(Machine *machine, bool devices) {
        if (machine->devices_suspended && !devices)
                return -EBUSY;
        machine_suspend_back(machine, (MachineSuspension){0});
        return 0;
}

/** machine_suspension() - what is suspended now */
MachineSuspension machine_suspension(const Machine *machine) {
        return (MachineSuspension){
                .vcpus = machine->suspended,
                .devices = machine->devices_suspended,
        };
}

/** machine_suspend_back() - wake what was not suspended at @before */
void machine_suspend_back(Machine *machine, MachineSuspension before) {
        if (!before.devices && machine->devices_suspended) {
                machine->devices_suspended = false;
                pci_root_set_suspended(machine->pci, false);
        }
        if (!before.vcpus && machine->suspended) {
                machine->suspended = false;
                machine_resume(machine);
        }
}
