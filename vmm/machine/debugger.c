/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The machine as a debugger's target. All vCPUs stop together: the one that met what the debugger waits for tells the
 * loop and holds itself, the loop pauses the machine. What vCPUs do when it goes on is set on each one's own thread.
 */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/gdb/server.h"
#include "vmm/machine/machine_internal.h"

#define PAGE_BYTES 4096u
#define VECTOR_BP 3u

struct MachineDebugger {
        Machine *machine;    /* weak */
        GdbServer *server;   /* owned */
        int stopped_fd;      /* owned eventfd: some vCPU stopped by itself */
        LoopSource *stopped; /* owned */
        bool paused;         /* by us */
};

static unsigned count_vcpus(void *target) {
        const MachineDebugger *debugger = target;

        return debugger->machine->n_kicks;
}

/* ---- registers ---- */

typedef struct RegistersJob {
        GdbRegisters *read; /* NULL when writing */
        const GdbRegisters *written;
        int r;
} RegistersJob;

static void access_registers(Vcpu *vcpu, void *userdata) {
        static const VcpuStateId ids[] = {VCPU_STATE_REGISTERS, VCPU_STATE_SYSTEM_REGISTERS,
                                          VCPU_STATE_XSAVE};
        RegistersJob *job = userdata;
        const GdbRegisters *written = job->written;
        void *reads[] = {job->read ? &job->read->general : NULL,
                         job->read ? &job->read->system : NULL,
                         job->read ? &job->read->xsave : NULL};
        const void *writes[] = {written ? &written->general : NULL,
                                written ? &written->system : NULL,
                                written ? &written->xsave : NULL};

        job->r = 0;
        for (size_t i = 0; i < ELEMENTSOF(ids) && job->r == 0; i++)
                job->r = job->read ? vcpu->ops->get_state(vcpu, ids[i], reads[i])
                                   : vcpu->ops->set_state(vcpu, ids[i], writes[i]);
}

static int read_registers(void *target, unsigned vcpu, GdbRegisters *ret) {
        const MachineDebugger *debugger = target;
        RegistersJob job = {.read = ret};
        int r = machine_on_vcpu(debugger->machine, vcpu, access_registers, &job);

        return r < 0 ? r : job.r;
}

static int write_registers(void *target, unsigned vcpu, const GdbRegisters *registers) {
        const MachineDebugger *debugger = target;
        RegistersJob job = {.written = registers};
        int r = machine_on_vcpu(debugger->machine, vcpu, access_registers, &job);

        return r < 0 ? r : job.r;
}

/* ---- memory ---- */

typedef struct MemoryJob {
        const MachineDebugger *debugger;
        uint64_t gva;
        void *read; /* NULL when writing */
        const void *written;
        size_t len;
        ssize_t done;
} MemoryJob;

static int access_piece(const MemoryJob *job, gpa_t gpa, size_t at, size_t len) {
        const GuestMem *mem = job->debugger->machine->mem;

        if (job->read)
                return guest_mem_read(mem, gpa, (uint8_t *) job->read + at, len);
        return guest_mem_write(mem, gpa, (const uint8_t *) job->written + at, len);
}

/* Page by page, as far as there are pages. */
static void access_memory(Vcpu *vcpu, void *userdata) {
        MemoryJob *job = userdata;
        const DebugOps *ops = job->debugger->machine->partition->debug;
        size_t at = 0;
        int r = 0;

        while (at < job->len) {
                uint64_t gva = job->gva + at;
                size_t len = MIN(job->len - at, PAGE_BYTES - gva % PAGE_BYTES);
                gpa_t gpa;

                r = ops->translate(vcpu, gva, &gpa);
                if (r == 0)
                        r = access_piece(job, gpa, at, len);
                if (r < 0)
                        break;
                at += len;
        }
        job->done = at > 0 ? (ssize_t) at : r;
}

static ssize_t read_memory(void *target, unsigned vcpu, uint64_t gva, void *data, size_t len) {
        const MachineDebugger *debugger = target;
        MemoryJob job = {.debugger = debugger, .gva = gva, .read = data, .len = len};
        int r = machine_on_vcpu(debugger->machine, vcpu, access_memory, &job);

        return r < 0 ? r : job.done;
}

static ssize_t write_memory(void *target, unsigned vcpu, uint64_t gva, const void *data,
                            size_t len) {
        const MachineDebugger *debugger = target;
        MemoryJob job = {.debugger = debugger, .gva = gva, .written = data, .len = len};
        int r = machine_on_vcpu(debugger->machine, vcpu, access_memory, &job);

        return r < 0 ? r : job.done;
}

/* ---- stop and go ---- */

typedef struct DebugJob {
        const DebugOps *ops;
        const VcpuDebug *debug; /* NULL: none any more */
        int r;
} DebugJob;

static void set_debug(Vcpu *vcpu, void *userdata) {
        DebugJob *job = userdata;

        job->r = job->ops->set_debug(vcpu, job->debug);
}

static int set_debug_on(const MachineDebugger *debugger, unsigned vcpu, const VcpuDebug *debug) {
        DebugJob job = {.ops = debugger->machine->partition->debug, .debug = debug};
        int r = machine_on_vcpu(debugger->machine, vcpu, set_debug, &job);

        return r < 0 ? r : job.r;
}

static void pause_once(MachineDebugger *debugger) {
        if (debugger->paused)
                return;
        machine_pause(debugger->machine);
        debugger->paused = true;
}

static void resume_once(MachineDebugger *debugger) {
        if (!debugger->paused)
                return;
        debugger->paused = false;
        machine_resume(debugger->machine);
}

static void stop_machine(void *target) {
        pause_once(target);
}

static int prepare_vcpu(const MachineDebugger *debugger, unsigned vcpu, const GdbPlan *plan) {
        const bool step = plan->actions[vcpu] == GDB_STEP;
        VcpuDebug debug = {.single_step = step,
                           .block_interrupts = step,
                           .catch_breakpoints = plan->catch_breakpoints,
                           .n_breaks = plan->n_breaks};
        bool wanted = step || plan->catch_breakpoints || plan->n_breaks > 0;

        memcpy(debug.breaks, plan->breaks, sizeof(debug.breaks));
        return set_debug_on(debugger, vcpu, wanted ? &debug : NULL);
}

static int go_on(void *target, const GdbPlan *plan) {
        MachineDebugger *debugger = target;
        Machine *machine = debugger->machine;

        for (unsigned i = 0; i < machine->n_kicks; i++) {
                int r = prepare_vcpu(debugger, i, plan);

                if (r < 0)
                        return r;
                machine_park_hold(machine, i, plan->actions[i] == GDB_HOLD);
        }
        resume_once(debugger);
        return 0;
}

static void detach(void *target) {
        MachineDebugger *debugger = target;

        for (unsigned i = 0; i < debugger->machine->n_kicks; i++) {
                (void) set_debug_on(debugger, i, NULL);
                machine_park_hold(debugger->machine, i, false);
        }
        resume_once(debugger);
}

static void kill_machine(void *target) {
        const MachineDebugger *debugger = target;

        machine_halt(debugger->machine, HALT_STOP);
}

static const GdbTargetOps target_ops = {
        .count_vcpus = count_vcpus,
        .read_registers = read_registers,
        .write_registers = write_registers,
        .read_memory = read_memory,
        .write_memory = write_memory,
        .go_on = go_on,
        .stop = stop_machine,
        .detach = detach,
        .kill = kill_machine,
};

/* ---- stops that vCPUs come to by themselves ---- */

typedef struct StopJob {
        VcpuDebugStop stop;
        uint64_t rip;
        int r;
} StopJob;

static void read_stop(Vcpu *vcpu, void *userdata) {
        StopJob *job = userdata;
        VcpuRegisters registers;

        job->stop = vcpu->debug_stop;
        job->r = vcpu->ops->get_state(vcpu, VCPU_STATE_REGISTERS, &registers);
        if (job->r == 0)
                job->rip = registers.rip;
}

/* The guest executed an INT3 of its own, as kernels do that patch themselves; it is to have its exception. */
static void give_back(Vcpu *vcpu, void *userdata) {
        int *r = userdata;
        VcpuActivity activity;

        *r = vcpu->ops->get_state(vcpu, VCPU_STATE_ACTIVITY, &activity);
        if (*r < 0)
                return;
        activity.exception_injected = true;
        activity.exception_vector = VECTOR_BP;
        activity.exception_has_error_code = false;
        *r = vcpu->ops->set_state(vcpu, VCPU_STATE_ACTIVITY, &activity);
}

/* Return: whether the stop is the debugger's; else @vcpu goes on with the others. */
static bool examine_stop(MachineDebugger *debugger, unsigned vcpu, GdbStop *ret) {
        Machine *machine = debugger->machine;
        GdbStub *stub = gdb_server_stub(debugger->server);
        StopJob job = {0};
        int r;

        if (!stub || machine_on_vcpu(machine, vcpu, read_stop, &job) < 0 || job.r < 0) {
                machine_park_hold(machine, vcpu, false);
                return false;
        }
        if (job.stop.cause == VCPU_DEBUG_BREAKPOINT && !gdb_stub_is_own_breakpoint(stub, job.rip)) {
                (void) machine_on_vcpu(machine, vcpu, give_back, &r);
                machine_park_hold(machine, vcpu, false);
                return false;
        }
        *ret = (GdbStop){.vcpu = vcpu, .debug = true, .cause = job.stop};
        return true;
}

/*
 * Several vCPUs may have stopped at once; the first one is told, since gdb takes one reason. A breakpoint of another is
 * met again when it goes on, for its instruction has not been executed; a watchpoint of another is passed over.
 */
static void on_stopped(void *userdata, int fd, uint32_t events) {
        MachineDebugger *debugger = userdata;
        Machine *machine = debugger->machine;
        const bool ran = !debugger->paused;
        bool told = false;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        pause_once(debugger);
        for (unsigned i = 0; i < machine->n_kicks; i++) {
                GdbStop stop;

                if (!machine_park_take_stop(machine, i) || !examine_stop(debugger, i, &stop))
                        continue;
                if (!told)
                        gdb_stub_stopped(gdb_server_stub(debugger->server), &stop);
                told = true;
        }
        if (!told && ran)
                resume_once(debugger);
}

/** machine_debugger_stopped() - a vCPU met what a debugger waits for; on its own thread, which then waits in the park */
void machine_debugger_stopped(MachineVcpu *vcpu) {
        Machine *machine = vcpu->machine;

        machine_park_stop(machine, vcpu->index);
        (void) eventfd_write(machine->debugger->stopped_fd, 1);
}

/**
 * machine_open_debugger() - listen for a debugger where @config says, if anywhere, and wait for it before the guest runs
 *
 * Return: 0; negative errno with a sentence.
 */
int machine_open_debugger(Machine *machine, const VmmConfig *config, TextError *reterr) {
        MachineDebugger *debugger;
        int r;

        if (!config->gdb)
                return 0;
        if (!machine->partition->debug)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "--gdb: this hypervisor cannot serve a debugger");
        debugger = machine->debugger = calloc(1, sizeof(*debugger));
        if (!debugger)
                return -ENOMEM;
        debugger->machine = machine;
        debugger->stopped_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (debugger->stopped_fd < 0)
                return -errno;
        r = loop_add_fd(machine->loop, debugger->stopped_fd, EPOLLIN, on_stopped, debugger,
                        &debugger->stopped);
        if (r < 0)
                return r;
        r = gdb_server_new(machine->loop, config->gdb, &target_ops, debugger, &debugger->server,
                           reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "--gdb");
        pause_once(debugger);
        return 0;
}

/** machine_debugger_ended() - tell a debugger that no vCPU runs any more */
void machine_debugger_ended(Machine *machine, int status) {
        if (machine->debugger)
                gdb_server_ended(machine->debugger->server, status);
}

/** machine_debugger_free() - disconnect. Return: NULL. */
MachineDebugger *machine_debugger_free(MachineDebugger *debugger) {
        if (!debugger)
                return NULL;
        (void) gdb_server_free(debugger->server);
        (void) loop_remove(debugger->stopped);
        (void) fd_close(debugger->stopped_fd);
        free(debugger);
        return NULL;
}
