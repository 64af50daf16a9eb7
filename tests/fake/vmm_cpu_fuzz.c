/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_cpu_fuzz.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/le.h"
#include "vmm/hv/soft/soft.h"

#define TICK_NSEC 250000
#define TICKS_MAX 2u /* of a run */

static void end(FuzzedCpu *cpu) {
        atomic_store(&cpu->stop, true);
        cpu->partition->ops->kick(cpu->partition, 0);
}

/* ---- devices ---- */

static void count_exit(FuzzedCpu *cpu) {
        if (++cpu->n_exits >= cpu->exits_max)
                end(cpu);
}

static uint64_t mmio_read(void *machine, gpa_t gpa, unsigned size) {
        count_exit(machine);
        return gpa * 0x9e3779b97f4a7c15u >> 8;
}

static void mmio_write(void *machine, gpa_t gpa, unsigned size, uint64_t value) {
        count_exit(machine);
}

static uint64_t pio_read(void *machine, uint16_t port, unsigned size) {
        count_exit(machine);
        return port * 0x9e3779b9u;
}

static void pio_write(void *machine, uint16_t port, unsigned size, uint64_t value) {
        count_exit(machine);
}

static int acknowledge_pic(void *machine) {
        return -1;
}

static void handle_eoi(void *machine, uint8_t vector) {
        count_exit(machine);
}

/* ---- the end of what does not end by itself ---- */

static struct {
        pthread_mutex_t lock;
        FuzzedCpu *cpu; /* that runs */
} clockwork = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *clockwork_main(void *userdata) {
        const struct timespec tick = {.tv_nsec = TICK_NSEC};

        for (;;) {
                (void) nanosleep(&tick, NULL);
                pthread_mutex_lock(&clockwork.lock);
                if (clockwork.cpu && ++clockwork.cpu->n_ticks >= TICKS_MAX)
                        end(clockwork.cpu);
                pthread_mutex_unlock(&clockwork.lock);
        }
        return NULL;
}

static void clockwork_start(void) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, clockwork_main, NULL) != 0)
                abort();
}

static void clockwork_watch(FuzzedCpu *cpu) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void) pthread_once(&once, clockwork_start);
        pthread_mutex_lock(&clockwork.lock);
        clockwork.cpu = cpu;
        pthread_mutex_unlock(&clockwork.lock);
}

/* ---- the processor ---- */

/** fuzzed_cpu_init() - as after power-on, with memory full of zeroes */
void fuzzed_cpu_init(FuzzedCpu *cpu) {
        const HvConfig config = {.n_vcpus = 1, .threads_per_core = 1};
        ProtoPartition *proto;

        *cpu = (FuzzedCpu){0};
        if (guest_mem_new(FUZZED_CPU_MEMORY, &cpu->mem) < 0 ||
            soft_hv_ops.proto_new(&config, &proto, NULL) < 0 ||
            soft_hv_ops.proto_build(proto, cpu->mem, &cpu->partition, NULL) < 0 ||
            cpu->partition->ops->vcpu_bind(cpu->partition, 0, &cpu->vcpu) < 0)
                abort();
}

/** fuzzed_cpu_put64() - into its memory */
void fuzzed_cpu_put64(FuzzedCpu *cpu, gpa_t gpa, uint64_t value) {
        uint8_t bytes[8];

        le64_store(bytes, value);
        (void) guest_mem_write(cpu->mem, gpa, bytes, sizeof(bytes));
}

/** fuzzed_cpu_run() - until it halts for good, has reached for devices so many times, or the time is over */
void fuzzed_cpu_run(FuzzedCpu *cpu, unsigned exits_max) {
        const CpuIo io = {
                .machine = cpu,
                .mmio_read = mmio_read,
                .mmio_write = mmio_write,
                .pio_read = pio_read,
                .pio_write = pio_write,
                .acknowledge_pic = acknowledge_pic,
                .handle_eoi = handle_eoi,
        };

        cpu->exits_max = exits_max;
        clockwork_watch(cpu);
        (void) cpu->vcpu->ops->run(cpu->vcpu, &io, &cpu->stop);
        clockwork_watch(NULL);
}

/** fuzzed_cpu_deinit() - it ran, or not */
void fuzzed_cpu_deinit(FuzzedCpu *cpu) {
        (void) vcpu_free(cpu->vcpu);
        (void) partition_free(cpu->partition);
        (void) guest_mem_free(cpu->mem);
}
