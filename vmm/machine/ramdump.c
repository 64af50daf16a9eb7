/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Dumps of the machine: when its kernel panics, into the file of --ramdump, and when the control socket asks. The machine
 * is paused meanwhile; a thread writes, because that takes seconds and the loop has other clients.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "base/log.h"
#include "vmm/dump/core.h"
#include "vmm/machine/machine_internal.h"

struct MachineRamdump {
        Machine *machine;     /* weak */
        int panic_fd;         /* owned; file for a panic's dump until that is written, or -EBADF */
        bool panic_wanted;    /* there was one */
        int wake_fd;          /* owned eventfd: a panic is to be dumped, or a dump is written */
        LoopSource *wake;     /* owned */
        atomic_bool panicked; /* set once, by whichever thread met the panic */

        /* The dump that is being written; on the loop's thread but for @result. */
        bool running;
        bool for_panic;
        pthread_t thread;
        int fd;            /* owned */
        ControlCall *call; /* to be answered; NULL for a panic's */
        DumpCpu *cpus;     /* owned */
        atomic_bool cancel;
        atomic_bool written; /* @result is valid */
        int result;
};

typedef struct CpuJob {
        DumpCpu *cpu;
        int r;
} CpuJob;

static void read_cpu(Vcpu *vcpu, void *userdata) {
        CpuJob *job = userdata;
        VcpuVirtualMsrs msrs;

        job->r = vcpu->ops->get_state(vcpu, VCPU_STATE_REGISTERS, &job->cpu->general);
        if (job->r == 0)
                job->r = vcpu->ops->get_state(vcpu, VCPU_STATE_SYSTEM_REGISTERS, &job->cpu->system);
        if (job->r == 0)
                job->r = vcpu->ops->get_state(vcpu, VCPU_STATE_VIRTUAL_MSRS, &msrs);
        if (job->r == 0)
                job->cpu->kernel_gs_base = msrs.kernel_gs_base;
}

static int read_cpus(MachineRamdump *dump) {
        Machine *machine = dump->machine;

        dump->cpus = calloc(machine->n_kicks, sizeof(*dump->cpus));
        if (!dump->cpus)
                return -ENOMEM;
        for (unsigned i = 0; i < machine->n_kicks; i++) {
                CpuJob job = {.cpu = &dump->cpus[i]};
                int r = machine_on_vcpu(machine, i, read_cpu, &job);

                if (r == 0)
                        r = job.r;
                if (r < 0)
                        return r;
        }
        return 0;
}

static void *write_main(void *userdata) {
        MachineRamdump *dump = userdata;

        (void) pthread_setname_np(pthread_self(), "ramdump");
        dump->result = dump_write_core(dump->fd, dump->machine->mem, dump->cpus,
                                       dump->machine->n_kicks, &dump->cancel);
        atomic_store(&dump->written, true);
        (void) eventfd_write(dump->wake_fd, 1);
        return NULL;
}

static int start_thread(MachineRamdump *dump) {
        sigset_t all, before;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = -pthread_create(&dump->thread, NULL, write_main, dump);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r;
}

/* Gives back what a dump took, and lets the machine go on. */
static void release(MachineRamdump *dump) {
        dump->fd = fd_close(dump->fd);
        free(TAKE(dump->cpus));
        dump->running = false;
        machine_release_memory(dump->machine);
        machine_resume(dump->machine);
}

/* @fd: a regular file, consumed. Return: 0, and the end will be told; negative errno with nothing changed. */
static int start_consume(MachineRamdump *dump, int fd, ControlCall *call) {
        int r;

        dump->fd = fd;
        dump->call = call;
        dump->for_panic = !call;
        dump->running = true;
        atomic_store(&dump->written, false);
        machine_pause(dump->machine);
        machine_hold_memory(dump->machine);
        r = fd_is_writable_file(fd) ? 0 : -EINVAL;
        if (r == 0)
                r = read_cpus(dump);
        if (r == 0)
                r = start_thread(dump);
        if (r < 0)
                release(dump);
        return r;
}

static void end_panic(MachineRamdump *dump, int r) {
        if (r < 0)
                log_error("cannot write the guest's memory to the file of --ramdump: %s",
                          strerror(-r));
        else
                log_info("the guest's memory is in the file of --ramdump");
        machine_halt_now(dump->machine, HALT_GUEST_PANIC);
}

static void finish(MachineRamdump *dump) {
        ControlCall *call = TAKE(dump->call);
        const bool for_panic = dump->for_panic;
        const int r = dump->result;

        (void) pthread_join(dump->thread, NULL);
        release(dump);
        if (for_panic)
                end_panic(dump, r);
        else if (r < 0)
                control_call_fail(call, "cannot write the dump: %s", strerror(-r));
        else
                control_call_ok(call);
}

static void on_wake(void *userdata, int fd, uint32_t events) {
        MachineRamdump *dump = userdata;
        eventfd_t count;
        int r;

        (void) eventfd_read(fd, &count);
        if (dump->running && atomic_load(&dump->written))
                finish(dump);
        /* A panic that comes while another dump is written waits for it. */
        if (dump->running || !atomic_load(&dump->panicked) || dump->panic_fd < 0)
                return;
        r = start_consume(dump, TAKE_FD(dump->panic_fd), NULL);
        if (r < 0)
                end_panic(dump, r);
}

/* ---- on request ---- */

static int open_for_request(ControlCall *call, int *ret_fd) {
        const char *path = control_call_request(call)->text;
        int fd = control_call_take_fd(call);

        if (fd < 0 && path)
                fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return path ? -errno : -EBADF;
        *ret_fd = fd;
        return 0;
}

static void on_request(void *userdata, ControlCall *call) {
        MachineRamdump *dump = userdata;
        int fd = -EBADF, r;

        if (dump->running || atomic_load(&dump->panicked)) {
                control_call_fail(call, "a dump is being written");
                return;
        }
        r = open_for_request(call, &fd);
        if (r == 0)
                r = start_consume(dump, fd, call);
        if (r == -EINVAL)
                control_call_fail(call, "the dump needs a regular file that is open for writing");
        else if (r < 0)
                control_call_fail(call, "cannot dump: %s", strerror(-r));
}

/**
 * machine_ramdump_takes() - whether a panic is dumped before it ends the machine; any thread
 *
 * If so machine_halt_now() follows when the dump is written.
 */
bool machine_ramdump_takes(MachineRamdump *dump, HaltReason reason) {
        if (!dump || !dump->panic_wanted)
                return false;
        /* What a panicked kernel does next, which is to reset, must not cut its dump short. */
        if (atomic_load(&dump->panicked))
                return reason != HALT_STOP;
        if (reason != HALT_GUEST_PANIC)
                return false;
        if (!atomic_exchange(&dump->panicked, true))
                (void) eventfd_write(dump->wake_fd, 1);
        return true;
}

/**
 * machine_open_ramdump() - open the file of --ramdump, if there is one, and serve the control socket's request
 *
 * Return: 0; negative errno with a sentence.
 */
int machine_open_ramdump(Machine *machine, const VmmConfig *config, TextError *reterr) {
        MachineRamdump *dump = machine->ramdump = calloc(1, sizeof(*dump));

        if (!dump)
                return -ENOMEM;
        dump->machine = machine;
        dump->panic_fd = dump->fd = -EBADF;
        dump->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (dump->wake_fd < 0)
                return -errno;
        if (config->ramdump) {
                dump->panic_fd = fd_path_open(config->ramdump, O_WRONLY | O_CREAT | O_TRUNC, 0600);
                if (dump->panic_fd < 0)
                        return text_error_set(reterr, dump->panic_fd, "--ramdump %s: %s",
                                              config->ramdump, strerror(-dump->panic_fd));
                dump->panic_wanted = true;
        }
        control_server_handle(machine->control, CONTROL_RAMDUMP, on_request, dump);
        return loop_add_fd(machine->loop, dump->wake_fd, EPOLLIN, on_wake, dump, &dump->wake);
}

/** machine_ramdump_free() - give up a dump that is being written. Return: NULL. */
MachineRamdump *machine_ramdump_free(MachineRamdump *dump) {
        if (!dump)
                return NULL;
        if (dump->running) {
                atomic_store(&dump->cancel, true);
                (void) pthread_join(dump->thread, NULL);
        }
        (void) loop_remove(dump->wake);
        (void) fd_close(dump->wake_fd);
        (void) fd_close(dump->panic_fd);
        (void) fd_close(dump->fd);
        free(dump->cpus);
        free(dump);
        return NULL;
}
