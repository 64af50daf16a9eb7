/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/shortage.h"
#include "config/launch_plan.h"
#include "service/fd_budget.h"
#include "service/monitor/vsock_host.h"
#include "service/store/fdstore.h"
#include "service/vm/internal.h"
#include "service/vm/stray.h"

/*
 * The daemon's side of a VMM's keeper (config/keeper.h): making one, and finding one that an earlier daemon made. All
 * that is needed for the latter is in the VM's directory and in the keeper itself, whose descriptors can be opened
 * anew under /proc; what systemd's descriptor store has is preferred, for it is there even if the keeper is not.
 */

#define RECORD_FILE "keeper"
#define FAILURE_FILE "failure"
#define STDERR_FILE "stderr"

/* What the keeper and the launcher get, and the daemon keeps none of. */
typedef struct KeeperEnds {
        KeeperFds keeper;        /* owned but for @record and the ends of the VMM's pipes */
        int status;              /* owned */
        int failure, vmm_stderr; /* owned */
        VmConsoleEnds consoles;  /* owned */
        int plan;                /* owned memfd */
        int control, gdb;        /* owned */
        VmVsockEnds vsock;       /* owned */
        int ramdump;             /* owned */
} KeeperEnds;

static void keeper_ends_deinit(KeeperEnds *ends) {
        (void) fd_close(ends->keeper.bell_in);
        (void) fd_close(ends->keeper.bell_out);
        (void) fd_close(ends->keeper.status_in);
        (void) fd_close(ends->status);
        (void) fd_close(ends->failure);
        (void) fd_close(ends->consoles.console);
        (void) fd_close(ends->consoles.keys);
        (void) fd_close(ends->consoles.log);
        (void) fd_close(ends->vmm_stderr);
        (void) fd_close(ends->plan);
        (void) fd_close(ends->control);
        (void) fd_close(ends->vsock.dir);
        (void) fd_close(ends->vsock.vhost);
        (void) fd_close(ends->ramdump);
        (void) fd_close(ends->gdb);
}

/* Return: descriptor, owned by the caller; negative errno. */
static int open_in_dir(const Vm *vm, const char *name, int flags) {
        _cleanup_(freep) char *path = NULL;
        int fd;

        if (asprintf(&path, "%s/%s", vm->dir, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
        return fd < 0 ? -errno : fd;
}

/*
 * An earlier daemon may have been killed between spawning a keeper and that keeper's first line. Such a keeper looks
 * whether its record still has a name after it wrote that line, and before it launches. So once the name is gone it
 * either stands in the record, and is ended here, or gives up by itself.
 */
static int forsake_keeper(const Vm *vm) {
        _cleanup_(freep) char *path = NULL;

        if (vm->record_file < 0)
                return 0;
        if (asprintf(&path, "%s/" RECORD_FILE, vm->dir) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        vm_stray_end_recorded(vm->record_file);
        return 0;
}

/* The blocks are there before the first line is due: a full file system must not cost a VM its end. */
static int make_record_file(Vm *vm) {
        int fd = forsake_keeper(vm);

        if (fd < 0)
                return fd;
        fd = open_in_dir(vm, RECORD_FILE, O_CREAT | O_TRUNC | O_APPEND);
        if (fd < 0)
                return fd;
        (void) fd_close(vm->record_file);
        vm->record_file = fd;
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, KEEPER_RECORD_MAX) < 0 && errno != EOPNOTSUPP)
                return -errno;
        return 0;
}

static void on_bell(void *userdata);

/**
 * vm_open_kept() - the file for what is read from a VMM, in its directory
 *
 * Return: descriptor, owned by the caller; -EBADF, upon which memory that dies with us has to do.
 */
int vm_open_kept(const Vm *vm, const char *name) {
        int fd = open_in_dir(vm, name, O_CREAT);

        if (fd < 0)
                log_line(LOG_LEVEL_WARNING, vm->info.name, "keep %s/%s: %s, ignoring", vm->dir,
                         name, strerror(-fd));
        return fd < 0 ? -EBADF : fd;
}

/* A pipe if @ret_write_fd is not NULL, else the reading end in @read_fd, which is consumed. */
static int make_drain(Vm *vm, DrainKeep keep, size_t bytes, const char *file, int read_fd,
                      Drain **ret, int *ret_write_fd) {
        _cleanup_(fd_closep) int kept = vm_open_kept(vm, file);
        const DrainSpec spec = {.keep = keep, .keep_bytes = bytes, .file = kept};

        return ret_write_fd ? drain_new(vm->env->event, &spec, ret, ret_write_fd)
                            : drain_attach(vm->env->event, &spec, read_fd, ret);
}

static int make_bell(Vm *vm, int read_fd, int *ret_write_fd) {
        const DrainSpec spec = {.keep = DRAIN_KEEP_HEAD,
                                .keep_bytes = 1,
                                .file = -EBADF,
                                .eof = on_bell,
                                .userdata = vm};

        return ret_write_fd ? drain_new(vm->env->event, &spec, &vm->bell, ret_write_fd)
                            : drain_attach(vm->env->event, &spec, read_fd, &vm->bell);
}

static int make_pipes(Vm *vm, KeeperEnds *ends) {
        int fds[2], r;

        r = make_bell(vm, -EBADF, &ends->keeper.bell_out);
        if (r < 0)
                return r;
        ends->keeper.bell_in = fd_dup_cloexec(drain_fd(vm->bell));
        if (ends->keeper.bell_in < 0)
                return ends->keeper.bell_in;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        ends->keeper.status_in = fds[0];
        ends->status = fds[1];
        r = make_drain(vm, DRAIN_KEEP_HEAD, FAILURE_BYTES_MAX, FAILURE_FILE, -EBADF, &vm->failure,
                       &ends->failure);
        if (r < 0)
                return r;
        ends->keeper.failure = drain_fd(vm->failure);
        r = make_drain(vm, DRAIN_KEEP_TAIL, STDERR_TAIL_BYTES, STDERR_FILE, -EBADF, &vm->vmm_stderr,
                       &ends->vmm_stderr);
        if (r < 0)
                return r;
        ends->keeper.err = drain_fd(vm->vmm_stderr);
        r = vm_make_consoles(vm, &ends->consoles);
        if (r < 0)
                return r;
        ends->keeper.console = vm->console ? console_fd(vm->console) : -EBADF;
        ends->keeper.keys = vm->console ? console_keys_fd(vm->console) : -EBADF;
        ends->keeper.log = vm->log ? console_fd(vm->log) : -EBADF;
        return 0;
}

static int either(int ours, int theirs) {
        return ours >= 0 ? ours : theirs;
}

static int make_ramdump(Vm *vm, KeeperEnds *ends) {
        if (!vm->request.config.ramdump)
                return 0;
        ends->ramdump = ramdumps_begin(vm->env->ramdumps, vm->info.id);
        return ends->ramdump < 0 ? ends->ramdump : 0;
}

/* Descriptors keep their numbers from here to the launcher, so the plan can name ours. */
static int make_plan(Vm *vm, KeeperEnds *ends) {
        _cleanup_(launch_plan_deinit) LaunchPlan plan;
        _cleanup_(freep) char *json = NULL;
        const char *log_level = vm->env->vmm_log_level;
        int r;

        launch_plan_init(&plan);
        plan.vmm_path = strdup(vm->env->vmm_path);
        plan.vm_name = strdup(vm->info.name);
        plan.log_level = log_level ? strdup(log_level) : NULL;
        if (!plan.vmm_path || !plan.vm_name || (log_level && !plan.log_level))
                return -ENOMEM;
        plan.dialect = vm->env->vmm_dialect;
        plan.cid = vm->info.cid;
        plan.hypervisor = vm->request.hypervisor;
        plan.console_out = either(ends->consoles.console, vm->request.console_out);
        plan.console_in = either(ends->consoles.keys, vm->request.console_in);
        plan.log_out = either(ends->consoles.log, vm->request.log_out);
        plan.failure_out = ends->failure;
        plan.vmm_stderr = ends->vmm_stderr;
        plan.status = ends->status;
        plan.control = ends->control;
        plan.vsock_dir = ends->vsock.dir;
        plan.vhost_vsock = ends->vsock.vhost;
        plan.ramdump_out = ends->ramdump;
        plan.gdb = ends->gdb;
        /* A start happens once, so the plan may take the config. */
        plan.config = vm->request.config;
        vm_config_init(&vm->request.config);
        memcpy(plan.cards, vm->cards.items, sizeof(plan.cards));
        plan.n_cards = vm->cards.n;
        memcpy(plan.shares, vm->shares.items, sizeof(plan.shares));
        plan.n_shares = vm->shares.n;
        plan.virtiofsd_path = strdup(vm->env->virtiofsd_path);
        if (!plan.virtiofsd_path)
                return -ENOMEM;
        for (size_t i = 0; i < vm->request.n_files; i++) {
                r = launch_plan_add_file(&plan, vm->request.files[i].name, vm->request.files[i].fd);
                if (r < 0)
                        return r;
        }
        r = launch_plan_to_json(&plan, &json);
        if (r < 0)
                return r;
        ends->plan = fd_memfd_from("vivarium-plan", json, strlen(json));
        if (ends->plan < 0)
                return ends->plan;
        /* The last one made, so those of the pipes are within the budget if it is. */
        return fd_budget_check(ends->plan);
}

/* The keeper may go once what the VMM wrote last is out of the pipes that it holds. */
static void dismiss_keeper(Vm *vm) {
        Console *const consoles[] = {vm->console, vm->log};
        Drain *const drains[] = {vm->failure, vm->vmm_stderr};

        for (size_t i = 0; i < ELEMENTSOF(drains); i++)
                if (drains[i])
                        (void) drain_now(drains[i]);
        for (size_t i = 0; i < ELEMENTSOF(consoles); i++)
                if (consoles[i])
                        console_read_rest(consoles[i]);
        (void) process_kill(vm->keeper, KEEPER_DISMISS_SIGNAL);
}

/* The end of the keeper tells how it ended; without one it is for us to see. */
static void on_vmm_ended(void *userdata) {
        Vm *vm = userdata;

        vm->vmm_ended = true;
        if (vm->keeper)
                dismiss_keeper(vm);
        else
                vm_end(vm, /* ran= */ true);
}

/* vm_watch_vmm() - with a keeper: have it dismissed when the VMM has ended, which may have been long ago */
void vm_watch_vmm(Vm *vm) {
        if (!vm->vmm)
                dismiss_keeper(vm);
        else if (process_watch(vm->vmm, vm->env->event, on_vmm_ended, vm) < 0)
                log_line(LOG_LEVEL_WARNING, vm->info.name, "watch process %u: no memory",
                         vm->info.pid);
}

/*
 * The keeper ended and the VMM did not, so somebody killed the keeper. The VM goes on; its end will be seen, and how it
 * ended if the kernel made us its parent in the keeper's place.
 */
static bool outlives_keeper(Vm *vm, const KeeperRecord *record) {
        if (record->end != KEEPER_END_NONE || record->vmm.pid == 0)
                return false;
        (void) vm_attach_vmm(vm, record);
        if (!vm->vmm)
                return false;
        if (!record->executed) {
                (void) process_kill(vm->vmm, SIGKILL);
                return false;
        }
        log_line(LOG_LEVEL_WARNING, vm->info.name,
                 "the keeper of process %d was killed, the VM runs on", record->vmm.pid);
        vm->keeper = process_free(vm->keeper);
        if (vm->vmm_ended)
                return false;
        return process_is_watched(vm->vmm) ||
               process_watch(vm->vmm, vm->env->event, on_vmm_ended, vm) == 0;
}

static void on_keeper_ended(void *userdata) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};
        ProcessExit end;
        Vm *vm = userdata;

        (void) process_reap(vm->keeper, &end);
        if (vm_read_record(vm, &record) == 0) {
                if (record.executed && vm->phase == VM_PHASE_LAUNCHING)
                        vm_now_running(vm, &record);
                if (record.failed)
                        vm_set_start_error(vm, record.failed);
                if (outlives_keeper(vm, &record))
                        return;
        }
        if (vm->phase == VM_PHASE_LAUNCHING)
                vm_set_start_error(vm, vm->kill_sent ? "it was killed before the VMM ran"
                                                     : "the launcher ended without a word");
        vm_end(vm, vm->phase == VM_PHASE_EXECUTED);
}

/* The launch is over, one way or the other. */
static void on_bell(void *userdata) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};
        Vm *vm = userdata;

        if (vm_read_record(vm, &record) < 0)
                return; /* the end of the keeper will say what there is to say */
        if (record.executed)
                vm_now_running(vm, &record);
        else if (record.failed)
                vm_set_start_error(vm, record.failed);
}

/* Appends the descriptors of network cards and of shared folders. */
static size_t append_devices(const Vm *vm, int *fds, size_t n) {
        for (size_t i = 0; i < vm->cards.n; i++)
                for (size_t j = 0; j < vm->cards.items[i].n_queues; j++)
                        fds[n++] = vm->cards.items[i].queues[j];
        for (size_t i = 0; i < vm->shares.n; i++)
                if (vm->shares.items[i].listen >= 0) {
                        fds[n++] = vm->shares.items[i].listen;
                        fds[n++] = vm->shares.items[i].connect;
                }
        return n;
}

#define DEVICE_FDS_MAX (VM_NETWORKS_MAX * VM_NETWORK_QUEUES_MAX + 2 * VM_SHARES_MAX)

static int spawn(Vm *vm, const KeeperEnds *ends) {
        const VmRequest *request = &vm->request;
        const KeeperFds *keeper = &ends->keeper;
        const VmConsoleEnds *consoles = &ends->consoles;
        const int roles[] = {ends->plan, ends->status, ends->failure, ends->vmm_stderr,
                             consoles->console, consoles->keys, consoles->log, ends->control,
                             ends->vsock.dir, ends->vsock.vhost, ends->ramdump, ends->gdb,
                             /* what the VM's creator passed */
                             request->console_out, request->log_out, request->console_in,
                             /* what the keeper holds */
                             keeper->record, keeper->bell_in, keeper->bell_out, keeper->status_in,
                             keeper->failure, keeper->console, keeper->err, keeper->log,
                             keeper->keys};
        _cleanup_(freep) int *fds =
                calloc(request->n_files + ELEMENTSOF(roles) + DEVICE_FDS_MAX, sizeof(*fds));
        _cleanup_(freep) char *path = strdup(vm->env->launcher_path);
        char plan[sizeof(LAUNCH_PLAN_OPTION) + 12], keep[128] = KEEPER_OPTION;
        char *argv[] = {path, plan, keep, NULL};
        ProcessSpec spec;
        size_t n = 0;
        int r;

        if (!fds || !path)
                return -ENOMEM;
        (void) snprintf(plan, sizeof(plan), LAUNCH_PLAN_OPTION "%d", ends->plan);
        r = keeper_fds_format(keeper, keep + strlen(KEEPER_OPTION),
                              sizeof(keep) - strlen(KEEPER_OPTION));
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(roles); i++)
                if (roles[i] >= 0)
                        fds[n++] = roles[i];
        for (size_t i = 0; i < request->n_files; i++)
                fds[n++] = request->files[i].fd;
        n = append_devices(vm, fds, n);
        spec = (ProcessSpec){.argv = argv,
                             .fds = fds,
                             .n_fds = n,
                             .stdout_fd = -EBADF,
                             .blocked_signal = KEEPER_GO_SIGNAL};
        return process_spawn(vm->env->event, &spec, on_keeper_ended, vm, &vm->keeper);
}

static int failed(Vm *vm, int r, const char *act, const char *object) {
        _cleanup_(freep) char *text = NULL;

        if (asprintf(&text, "%s%s%s: %s", act, *object ? " " : "", object, strerror(-r)) < 0)
                text = NULL;
        if (text)
                vm_set_start_error(vm, text);
        return r;
}

/** vm_spawn_keeper() - make pipes, plan and keeper, which waits for its go. Return: 0; negative errno, with the reason set. */
int vm_spawn_keeper(Vm *vm) {
        _cleanup_(keeper_ends_deinit) KeeperEnds ends = {.keeper = KEEPER_FDS_NONE,
                                                         .status = -EBADF,
                                                         .failure = -EBADF,
                                                         .vmm_stderr = -EBADF,
                                                         .consoles = {-EBADF, -EBADF, -EBADF},
                                                         .plan = -EBADF,
                                                         .control = -EBADF,
                                                         .vsock = {-EBADF, -EBADF},
                                                         .ramdump = -EBADF,
                                                         .gdb = -EBADF};
        int r;

        r = make_record_file(vm);
        if (r < 0)
                return failed(vm, r, "make the record in", vm->dir);
        ends.keeper.record = vm->record_file;
        r = make_pipes(vm, &ends);
        if (r < 0)
                return failed(vm, r, "make pipes", "");
        r = vm_make_control_sockets(vm, &ends.control, &ends.gdb);
        if (r < 0)
                return failed(vm, r, "make control sockets in", vm->dir);
        r = vm_make_vsock(vm, &ends.vsock);
        if (r < 0)
                return failed(vm, r, "make the guest's sockets:",
                              vm->info.vhost_vsock ? VSOCK_HOST_DEVICE : vm->dir);
        r = make_ramdump(vm, &ends);
        if (r < 0)
                return failed(vm, r, "make the file of the memory dump", "");
        r = make_plan(vm, &ends);
        if (r < 0)
                return failed(vm, r, "make the launch plan", "");
        r = spawn(vm, &ends);
        if (r < 0)
                return failed(vm, r, "execute", vm->env->launcher_path);
        return 0;
}

/** vm_read_record() - what the keeper wrote so far; release with keeper_record_deinit(). Return: 0 or negative errno. */
int vm_read_record(const Vm *vm, KeeperRecord *ret) {
        return vm->record_file < 0 ? -ENOENT : keeper_record_read(vm->record_file, ret);
}

/** vm_kill_process() - SIGKILL the VMM, or what would become it. Return: 0 or negative errno. */
int vm_kill_process(Vm *vm) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};

        if (!vm->vmm && vm_read_record(vm, &record) == 0)
                (void) vm_attach_vmm(vm, &record);
        if (vm->vmm)
                return process_kill(vm->vmm, SIGKILL);
        /* Once it ran, it is gone by itself, and its keeper about to say so. */
        if (vm->phase == VM_PHASE_EXECUTED || record.vmm.pid > 0)
                return 0;
        if (vm->tap_job)
                tap_job_cancel(vm->tap_job);
        /* A child that it forks at this moment dies with it, or is in the record when we hear of its end. */
        return vm->keeper ? process_kill(vm->keeper, SIGKILL) : 0;
}

/** vm_attach_vmm() - know the VMM by its own pidfd. Return: 0; -ESRCH when it is gone already; other negative errno. */
int vm_attach_vmm(Vm *vm, const KeeperRecord *record) {
        if (vm->vmm)
                return 0;
        if (record->vmm.pid == 0)
                return -ESRCH;
        return process_attach(record->vmm.pid, record->vmm.start_time,
                              fdstore_take(vm->env->fdstore, vm->info.id, "vmm"), &vm->vmm);
}

/* A descriptor of an earlier daemon's: from the store, else opened anew in the keeper. Return: it, or negative errno. */
static int find_fd(const Vm *vm, const KeeperRecord *record, const char *what, int number,
                   int mode) {
        int fd = fdstore_take(vm->env->fdstore, vm->info.id, what);
        char path[64];

        if (fd >= 0 || number < 0 || !vm->keeper)
                return fd;
        (void) snprintf(path, sizeof(path), "/proc/%d/fd/%d", record->keeper.pid, number);
        fd = open(path, mode | O_NONBLOCK | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* The reading end of a pipe that has no writer. */
static int ended_pipe(void) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        (void) fd_close(fds[1]);
        return fds[0];
}

/* With no pipe any more, what is in its file is all there is. */
static int attach_drain(Vm *vm, DrainKeep keep, size_t bytes, const char *file, int fd,
                        Drain **ret) {
        if (fd < 0 && !is_shortage(fd))
                fd = ended_pipe();
        return fd < 0 ? fd : make_drain(vm, keep, bytes, file, fd, ret, NULL);
}

static int attach_console(Vm *vm, VmStreamKind stream, int fd, int keys) {
        if (fd < 0 && !is_shortage(fd))
                fd = ended_pipe();
        if (fd >= 0 && is_shortage(keys)) {
                (void) fd_close(fd);
                fd = keys;
        }
        if (fd < 0) {
                (void) fd_close(keys);
                return fd;
        }
        return vm_attach_console(vm, stream, fd, keys);
}

static int attach_consoles(Vm *vm, const KeeperRecord *record) {
        const KeeperFds *fds = &record->fds;
        int r = 0;

        if (fds->console >= 0)
                r = attach_console(
                        vm, VM_STREAM_CONSOLE,
                        find_fd(vm, record, "console", fds->console, O_RDONLY),
                        fds->keys < 0 ? -EBADF : find_fd(vm, record, "keys", fds->keys, O_WRONLY));
        if (r == 0 && fds->log >= 0)
                r = attach_console(vm, VM_STREAM_LOG,
                                   find_fd(vm, record, "log", fds->log, O_RDONLY), -EBADF);
        return r;
}

static int attach_drains(Vm *vm, const KeeperRecord *record) {
        int r;

        r = attach_drain(vm, DRAIN_KEEP_HEAD, FAILURE_BYTES_MAX, FAILURE_FILE,
                         find_fd(vm, record, "failure", record->fds.failure, O_RDONLY),
                         &vm->failure);
        if (r < 0)
                return r;
        r = attach_drain(vm, DRAIN_KEEP_TAIL, STDERR_TAIL_BYTES, STDERR_FILE,
                         find_fd(vm, record, "stderr", record->fds.err, O_RDONLY), &vm->vmm_stderr);
        return r < 0 ? r : attach_consoles(vm, record);
}

static int attach_process(Vm *vm, const KeeperRecord *record) {
        int r;

        r = process_attach(record->keeper.pid, record->keeper.start_time,
                           fdstore_take(vm->env->fdstore, vm->info.id, "keeper"), &vm->keeper);
        return r < 0 ? r : process_watch(vm->keeper, vm->env->event, on_keeper_ended, vm);
}

/**
 * vm_attach_keeper() - go on where the daemon left that spawned the keeper of @record
 *
 * Return: 0, the end of the keeper will be seen; -ESRCH when it is gone, and the record says what there is to know;
 * other negative errno.
 */
int vm_attach_keeper(Vm *vm, const KeeperRecord *record) {
        int r, gone;

        gone = attach_process(vm, record);
        if (gone < 0 && gone != -ESRCH)
                return gone;
        r = attach_drains(vm, record);
        if (r < 0)
                return r;
        if (gone == 0 && !record->executed && !record->failed) {
                int bell = find_fd(vm, record, "bell", record->fds.bell_in, O_RDONLY);

                /* Without one the launch was over just now, and the record has more to say than was read of it. */
                bell = bell >= 0 || is_shortage(bell) ? bell : ended_pipe();
                r = bell < 0 ? bell : make_bell(vm, bell, NULL);
                if (r < 0)
                        return r;
        }
        return gone;
}

/**
 * vm_open_record() - find the record file that an earlier daemon made
 *
 * Return: 0; -ENOENT when there is none; other negative errno.
 */
int vm_open_record(Vm *vm) {
        int fd = open_in_dir(vm, RECORD_FILE, O_APPEND);

        if (fd < 0)
                return fd;
        (void) fd_close(vm->record_file);
        vm->record_file = fd;
        return 0;
}

/** vm_watch_keeperless() - the keeper is gone and the VMM lives. Return: whether its end will be seen. */
bool vm_watch_keeperless(Vm *vm, const KeeperRecord *record) {
        return outlives_keeper(vm, record);
}
