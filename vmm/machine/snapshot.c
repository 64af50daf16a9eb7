/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Taking a snapshot on request. As in crosvm the machine is suspended for it, devices too, and afterwards is as it was
 * before. A thread writes memory, because that takes seconds and the loop has other clients.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/snapshot/file.h"

struct MachineSnapshot {
        Machine *machine; /* weak */
        int wake_fd;      /* owned eventfd: the thread is done */
        LoopSource *wake; /* owned */

        /* The one that is being taken; on the loop's thread but for @result. */
        ControlCall *call; /* owned, to be answered; NULL: none is taken */
        int fd;            /* owned */
        char *path; /* owned: of a file that was made for it, and goes again if it fails; or NULL */
        MachineSuspension before;
        Snapshot state; /* while @writing */
        bool writing;
        pthread_t thread;
        atomic_bool cancel, written; /* @written: @result is valid */
        int result;
};

/* ---- the state ---- */

typedef struct VcpuJob {
        VcpuStates *states;
        int r;
} VcpuJob;

static void get_states(Vcpu *vcpu, void *userdata) {
        VcpuJob *job = userdata;

        job->r = vcpu_states_get(vcpu, job->states);
}

static void save_processors(Machine *machine, Snapshot *s) {
        _cleanup_(freep) VcpuStates *states = malloc(sizeof(*states));

        if (!states)
                snapshot_refuse(s, "no memory for the state of a processor");
        for (unsigned i = 0; snapshot_saving(s) && i < machine->n_kicks; i++) {
                VcpuJob job = {.states = states};
                int r = machine_on_vcpu(machine, i, get_states, &job);

                if (r < 0 || job.r < 0)
                        snapshot_refuse(s, "the state of vCPU %u cannot be read: %s", i,
                                        strerror(r < 0 ? -r : -job.r));
                else
                        vcpu_states_snapshot(states, i, s);
        }
}

/* ---- the end ---- */

/* Gives back what it took, and lets the machine go on as before. @why: NULL if all went well. */
static void finish(MachineSnapshot *snapshot, const char *why) {
        ControlCall *call = TAKE(snapshot->call);

        snapshot->fd = fd_close(snapshot->fd);
        if (why && snapshot->path)
                (void) unlink(snapshot->path);
        free(TAKE(snapshot->path));
        snapshot_deinit(&snapshot->state);
        machine_release_memory(snapshot->machine);
        machine_suspend_back(snapshot->machine, snapshot->before);
        if (why)
                control_call_fail(call, "%s", why);
        else
                control_call_ok(call);
}

static void on_written(void *userdata, int fd, uint32_t events) {
        MachineSnapshot *snapshot = userdata;
        eventfd_t count;
        int r;

        (void) eventfd_read(fd, &count);
        if (!snapshot->writing || !atomic_load(&snapshot->written))
                return;
        (void) pthread_join(snapshot->thread, NULL);
        snapshot->writing = false;
        r = snapshot->result;
        finish(snapshot, r < 0 ? strerror(-r) : NULL);
}

/* ---- the way there ---- */

static void *write_main(void *userdata) {
        MachineSnapshot *snapshot = userdata;

        (void) pthread_setname_np(pthread_self(), "snapshot");
        snapshot->result = snapshot_file_write(snapshot->fd, &snapshot->state,
                                               snapshot->machine->mem, &snapshot->cancel);
        atomic_store(&snapshot->written, true);
        (void) eventfd_write(snapshot->wake_fd, 1);
        return NULL;
}

static int start_thread(MachineSnapshot *snapshot) {
        sigset_t all, before;
        int r;

        atomic_store(&snapshot->written, false);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = -pthread_create(&snapshot->thread, NULL, write_main, snapshot);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        snapshot->writing = r == 0;
        return r;
}

/** machine_snapshot_rested() - the devices have come to rest: for a snapshot, if one is taken */
void machine_snapshot_rested(Machine *machine) {
        MachineSnapshot *snapshot = machine->snapshot;
        int r;

        if (!snapshot || !snapshot->call || snapshot->writing)
                return;
        snapshot_init_saving(&snapshot->state);
        machine_snapshot_state(machine, &snapshot->state);
        save_processors(machine, &snapshot->state);
        if (snapshot->state.error < 0) {
                _cleanup_(freep) char *why =
                        strdup(text_error_message(&snapshot->state.text, snapshot->state.error));

                finish(snapshot, why ?: "no memory");
                return;
        }
        r = start_thread(snapshot);
        if (r < 0)
                finish(snapshot, strerror(-r));
}

/* Makes the file that a request names. */
static int make_file(const char *path, int *ret, const char **ret_why) {
        if (jail_is_closed()) {
                *ret_why = "the sandbox has no files: send it, open, as `snapshot take` does";
                return -EACCES;
        }
        *ret = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (*ret < 0) {
                *ret_why = strerror(errno);
                return -errno;
        }
        return 0;
}

/* @ret_path: the file's name, if it was made */
static int open_file(ControlCall *call, int *ret, char **ret_path, const char **ret_why) {
        const char *text = control_call_request(call)->text;
        _cleanup_(fd_closep) int fd = control_call_take_fd(call);
        _cleanup_(freep) char *path = NULL;
        int r = 0;

        *ret_why = "no memory";
        if (text) {
                path = strdup(text);
                r = path ? make_file(path, &fd, ret_why) : -ENOMEM;
        }
        if (r < 0)
                return r;
        *ret_why = "it needs a regular file that is open for writing";
        if (!fd_is_writable_file(fd))
                return -EINVAL;
        *ret = TAKE_FD(fd);
        *ret_path = TAKE(path);
        return 0;
}

static void on_take(void *userdata, ControlCall *call) {
        Machine *machine = userdata;
        MachineSnapshot *snapshot = machine->snapshot;
        const char *why;

        if (snapshot->call || machine->suspending) {
                control_call_fail(call, snapshot->call ? "one is being taken"
                                                       : "the machine is about to be suspended");
                return;
        }
        if (open_file(call, &snapshot->fd, &snapshot->path, &why) < 0) {
                control_call_fail(call, "%s", why);
                return;
        }
        snapshot->call = call;
        snapshot->before = machine_suspension(machine);
        machine_hold_memory(machine);
        machine_suspend(machine, /* devices= */ true);
        if (pci_root_is_at_rest(machine->pci))
                machine_snapshot_rested(machine);
}

/* ---- life ---- */

/** machine_snapshot_is_taken() - whether the machine rests for a snapshot, and must go on doing so */
bool machine_snapshot_is_taken(const Machine *machine) {
        return machine->snapshot && machine->snapshot->call;
}

/** machine_add_snapshots() - serve the control socket's request for one. Return: 0 or negative errno. */
int machine_add_snapshots(Machine *machine) {
        MachineSnapshot *snapshot = machine->snapshot = calloc(1, sizeof(*snapshot));

        if (!snapshot)
                return -ENOMEM;
        snapshot->machine = machine;
        snapshot->fd = -EBADF;
        snapshot->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (snapshot->wake_fd < 0)
                return -errno;
        control_server_handle(machine->control, CONTROL_SNAPSHOT_TAKE, on_take, machine);
        return loop_add_fd(machine->loop, snapshot->wake_fd, EPOLLIN, on_written, snapshot,
                           &snapshot->wake);
}

/** machine_snapshot_free() - give up one that is being taken. Return: NULL. */
MachineSnapshot *machine_snapshot_free(MachineSnapshot *snapshot) {
        if (!snapshot)
                return NULL;
        if (snapshot->writing) {
                atomic_store(&snapshot->cancel, true);
                (void) pthread_join(snapshot->thread, NULL);
        }
        snapshot_deinit(&snapshot->state);
        (void) loop_remove(snapshot->wake);
        (void) fd_close(snapshot->wake_fd);
        (void) fd_close(snapshot->fd);
        free(snapshot->path);
        free(snapshot);
        return NULL;
}
