/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A processor's state from a snapshot that somebody else wrote, on the software processor, which then runs for a moment
 * with it. Wrong is what the sanitizers say, a crash, or a run that a stop does not end.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/le.h"
#include "vmm/hv/soft/soft.h"
#include "vmm/hv/state_set.h"

#define MEMORY_BYTES (UINT64_C(2) << 20)
#define TABLES 0x4000u
#define RUN_NSEC 200000
#define EXITS_MAX 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Run {
        GuestMem *mem;
        Partition *partition;
        atomic_bool stop;
        unsigned n_exits, n_ticks;
} Run;

static void count_exit(Run *run) {
        if (++run->n_exits < EXITS_MAX)
                return;
        atomic_store(&run->stop, true);
        run->partition->ops->kick(run->partition, 0);
}

static uint64_t mmio_read(void *machine, gpa_t gpa, unsigned size) {
        count_exit(machine);
        return gpa;
}

static void mmio_write(void *machine, gpa_t gpa, unsigned size, uint64_t value) {
        count_exit(machine);
}

static uint64_t pio_read(void *machine, uint16_t port, unsigned size) {
        count_exit(machine);
        return port;
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
        Run *run; /* the one at hand */
} clockwork = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *clockwork_main(void *userdata) {
        const struct timespec tick = {.tv_nsec = RUN_NSEC / 2};

        for (;;) {
                (void) nanosleep(&tick, NULL);
                pthread_mutex_lock(&clockwork.lock);
                if (clockwork.run && ++clockwork.run->n_ticks >= 2) {
                        atomic_store(&clockwork.run->stop, true);
                        clockwork.run->partition->ops->kick(clockwork.run->partition, 0);
                }
                pthread_mutex_unlock(&clockwork.lock);
        }
        return NULL;
}

static void clockwork_start(void) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, clockwork_main, NULL) != 0)
                abort();
}

static void clockwork_watch(Run *run) {
        pthread_mutex_lock(&clockwork.lock);
        clockwork.run = run;
        pthread_mutex_unlock(&clockwork.lock);
}

/* ---- one input ---- */

static void put64(const GuestMem *mem, gpa_t gpa, uint64_t value) {
        uint8_t bytes[8];

        le64_store(bytes, value);
        (void) guest_mem_write(mem, gpa, bytes, sizeof(bytes));
}

/* All of memory at its own addresses, in one page, and instructions wherever one looks. */
static void make(Run *run) {
        static const uint8_t code[] = {0x48, 0xff, 0xc0, 0x0f, 0x28, 0xc1, 0xeb, 0xf8};
        const HvConfig config = {.n_vcpus = 1, .threads_per_core = 1};
        ProtoPartition *proto;

        if (guest_mem_new(MEMORY_BYTES, &run->mem) < 0 ||
            soft_hv_ops.proto_new(&config, &proto, NULL) < 0 ||
            soft_hv_ops.proto_build(proto, run->mem, &run->partition, NULL) < 0)
                abort();
        put64(run->mem, TABLES, (TABLES + 0x1000) | 7);
        put64(run->mem, TABLES + 0x1000, (TABLES + 0x2000) | 7);
        put64(run->mem, TABLES + 0x2000, 0x87);
        for (gpa_t at = 0x10000; at < 0x11000; at += sizeof(code))
                (void) guest_mem_write(run->mem, at, code, sizeof(code));
}

static bool restore(Vcpu *vcpu, const uint8_t *data, size_t size) {
        VcpuStates *states = calloc(1, sizeof(*states));
        const char *name;
        Snapshot s;
        bool good;

        if (!states)
                abort();
        snapshot_init_restoring(&s, data, size);
        vcpu_states_snapshot(states, 0, &s);
        good = snapshot_restored(&s) && vcpu_states_set(vcpu, states, &name) == 0;
        /* What was taken can be given again. */
        if (good && vcpu_states_get(vcpu, states) < 0)
                abort();
        snapshot_deinit(&s);
        free(states);
        return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        Run run = {0};
        const CpuIo io = {
                .machine = &run,
                .mmio_read = mmio_read,
                .mmio_write = mmio_write,
                .pio_read = pio_read,
                .pio_write = pio_write,
                .acknowledge_pic = acknowledge_pic,
                .handle_eoi = handle_eoi,
        };
        Vcpu *vcpu;

        (void) pthread_once(&once, clockwork_start);
        make(&run);
        if (run.partition->ops->vcpu_bind(run.partition, 0, &vcpu) < 0)
                abort();
        if (restore(vcpu, data, size)) {
                clockwork_watch(&run);
                (void) vcpu->ops->run(vcpu, &io, &run.stop);
                clockwork_watch(NULL);
        }
        (void) vcpu_free(vcpu);
        (void) partition_free(run.partition);
        (void) guest_mem_free(run.mem);
        return 0;
}
