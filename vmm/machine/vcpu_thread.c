/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vmm/jail/jail.h"
#include "vmm/machine/machine_internal.h"

/* A device model called from a vCPU needs little; a page of it is touched as a rule. */
#define VCPU_STACK_BYTES (256u * 1024u)

/* CpuIo.machine is the vCPU, so that each counts for itself. */
static uint64_t io_mmio_read(void *userdata, gpa_t gpa, unsigned size) {
        MachineVcpu *vcpu = userdata;

        counter_add(&vcpu->exits.mmio_reads, 1);
        return bus_read(vcpu->machine->mmio, gpa, size);
}

static void io_mmio_write(void *userdata, gpa_t gpa, unsigned size, uint64_t value) {
        MachineVcpu *vcpu = userdata;

        counter_add(&vcpu->exits.mmio_writes, 1);
        bus_write(vcpu->machine->mmio, gpa, size, value);
}

static uint64_t io_pio_read(void *userdata, uint16_t port, unsigned size) {
        MachineVcpu *vcpu = userdata;

        counter_add(&vcpu->exits.pio_reads, 1);
        return bus_read(vcpu->machine->pio, port, size);
}

static void io_pio_write(void *userdata, uint16_t port, unsigned size, uint64_t value) {
        MachineVcpu *vcpu = userdata;

        counter_add(&vcpu->exits.pio_writes, 1);
        bus_write(vcpu->machine->pio, port, size, value);
}

static int io_acknowledge_pic(void *userdata) {
        MachineVcpu *vcpu = userdata;

        counter_add(&vcpu->exits.pic_acknowledges, 1);
        return irqchip_acknowledge_pic(vcpu->machine->irqchip);
}

static void io_handle_eoi(void *userdata, uint8_t vector) {
        MachineVcpu *vcpu = userdata;

        counter_add(&vcpu->exits.level_eois, 1);
        irqchip_handle_eoi(vcpu->machine->irqchip, vector);
}

static void io_count_bus_locks(void *userdata, uint64_t n) {
        MachineVcpu *vcpu = userdata;

        counter_add(&vcpu->exits.bus_locks, n);
}

/* Reports the outcome of binding and waits until all vCPUs did. Return: whether to run. */
static bool gate_pass(MachineGate *gate, int r, const char *option) {
        bool run;

        pthread_mutex_lock(&gate->lock);
        gate->n_bound++;
        if (r < 0 && gate->error == 0) {
                gate->error = r;
                gate->option = option;
        }
        pthread_cond_broadcast(&gate->changed);
        while (!gate->open && !gate->closed)
                pthread_cond_wait(&gate->changed, &gate->lock);
        run = gate->open;
        pthread_mutex_unlock(&gate->lock);
        return run;
}

static void vcpu_run(MachineVcpu *self, Vcpu *vcpu) {
        Machine *machine = self->machine;
        const CpuIo io = {
                .machine = self,
                .mmio_read = io_mmio_read,
                .mmio_write = io_mmio_write,
                .pio_read = io_pio_read,
                .pio_write = io_pio_write,
                .acknowledge_pic = io_acknowledge_pic,
                .handle_eoi = io_handle_eoi,
                .count_bus_locks = io_count_bus_locks,
        };
        HaltReason reason = HALT_STOP;

        while (reason == HALT_STOP && machine_park_pass(machine, vcpu)) {
                counter_add(&self->exits.runs, 1);
                reason = vcpu->ops->run(vcpu, &io, &machine->stop);
                if (reason == HALT_DEBUG) {
                        machine_debugger_stopped(self);
                        reason = HALT_STOP;
                }
        }
        if (reason == HALT_STOP)
                return; /* the machine ended by another's doing */
        if (reason == HALT_ERROR)
                log_error("vCPU %u cannot go on: %s", vcpu->index, vcpu->error);
        else if (reason == HALT_TRIPLE_FAULT)
                log_warning("vCPU %u shut down: %s", vcpu->index, vcpu->error);
        machine_halt(machine, reason);
}

/* To what the guest is entered with, or goes on from. */
static int prepare(const Machine *machine, Vcpu *vcpu, const char **ret_option) {
        int r;

        if (!machine->restored)
                return machine_prepare_vcpu(machine, vcpu);
        r = vcpu_states_set(vcpu, &machine->restored[vcpu->index], ret_option);
        if (r >= 0)
                *ret_option = NULL;
        return r == -EINVAL ? -EBADMSG : r;
}

static void *vcpu_main(void *userdata) {
        MachineVcpu *self = userdata;
        Machine *machine = self->machine;
        _cleanup_(vcpu_freep) Vcpu *vcpu = NULL;
        const char *option = NULL;
        char name[16];
        int r;

        (void) snprintf(name, sizeof(name), "vcpu%u", self->index);
        (void) pthread_setname_np(pthread_self(), name);
        self->tid = gettid();
        r = machine->partition->ops->vcpu_bind(machine->partition, self->index, &vcpu);
        if (r >= 0)
                r = prepare(machine, vcpu, &option);
        if (r >= 0)
                r = machine_place_vcpu(&machine->placement, self->index, &option);
        if (r >= 0)
                r = jail_enter_role(machine->vcpu_role);
        if (gate_pass(&machine->gate, r, option))
                vcpu_run(self, vcpu);
        machine_park_leave(machine, self);
        return NULL;
}

static int gate_wait_bound(MachineGate *gate, unsigned n_threads) {
        int r;

        pthread_mutex_lock(&gate->lock);
        while (gate->n_bound < n_threads)
                pthread_cond_wait(&gate->changed, &gate->lock);
        r = gate->error;
        pthread_mutex_unlock(&gate->lock);
        return r;
}

static void gate_decide(MachineGate *gate, bool open) {
        pthread_mutex_lock(&gate->lock);
        gate->open = open;
        gate->closed = !open;
        pthread_cond_broadcast(&gate->changed);
        pthread_mutex_unlock(&gate->lock);
}

/* Threads start with all signals blocked; the backend opens the one it kicks with. */
static int create_threads(Machine *machine, unsigned n_vcpus) {
        pthread_attr_t attributes;
        sigset_t all, before;
        int r = 0;

        sigfillset(&all);
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, VCPU_STACK_BYTES);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        for (unsigned i = 0; r == 0 && i < n_vcpus; i++) {
                MachineVcpu *vcpu = &machine->vcpus[i];

                vcpu->machine = machine;
                vcpu->index = i;
                r = -pthread_create(&vcpu->thread, &attributes, vcpu_main, vcpu);
                if (r == 0)
                        machine->n_vcpus = i + 1;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        return r;
}

static const char *placement_error(int r) {
        return r == -ENOSYS || r == -ENODEV || r == -EINVAL ? "the host's kernel does not have it"
                                                            : strerror(-r);
}

/**
 * machine_start_vcpus() - create the threads and let the guest run once every vCPU is ready
 *
 * Return: 0; negative errno with a sentence, and then no thread is left.
 */
int machine_start_vcpus(Machine *machine, TextError *reterr) {
        unsigned n_vcpus = machine->n_vcpus;
        const char *option;
        int r;

        machine->vcpus = calloc(n_vcpus, sizeof(*machine->vcpus));
        if (!machine->vcpus)
                return -ENOMEM;
        machine->n_vcpus = 0;
        r = machine_place_threads(&machine->placement, &option);
        if (r < 0)
                return text_error_set(reterr, r, "%s: %s", option, placement_error(r));
        r = machine_start_swap(machine);
        if (r < 0)
                return text_error_set(reterr, r, "--swap: cannot make its thread: %s",
                                      strerror(-r));
        r = create_threads(machine, n_vcpus);
        if (r < 0)
                text_error_set(reterr, r, "cannot create a thread for vCPU %u: %s",
                               machine->n_vcpus, strerror(-r));
        if (r >= 0) {
                r = gate_wait_bound(&machine->gate, n_vcpus);
                option = machine->gate.option;
                if (r < 0)
                        text_error_set(reterr, r, "cannot set up the vCPUs: %s%s%s", option ?: "",
                                       option ? ": " : "", placement_error(r));
        }
        /* After the vCPUs' threads, which would inherit it. */
        if (r >= 0) {
                r = jail_enter_role(JAIL_LOOP);
                if (r < 0)
                        text_error_set(reterr, r, "sandbox: no filter: %s", strerror(-r));
        }
        gate_decide(&machine->gate, r >= 0);
        if (r < 0)
                machine_join_vcpus(machine);
        return r;
}

/** machine_join_vcpus() - wait until all vCPU threads ended; the stop flag is set or the gate is closed */
void machine_join_vcpus(Machine *machine) {
        for (unsigned i = 0; i < machine->n_vcpus; i++)
                (void) pthread_join(machine->vcpus[i].thread, NULL);
        machine->n_vcpus = 0;
}
