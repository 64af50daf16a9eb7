/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/bus_host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"

#define STORE_MAX 1024u

static const char bus_config[] =
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
        " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
        "<busconfig><type>session</type><listen>unix:path=%s/bus</listen>\n"
        "<auth>EXTERNAL</auth><policy context=\"default\">\n"
        "<allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\n"
        "<allow own=\"*\"/><allow user=\"*\"/></policy>\n"
        "<limit name=\"max_replies_per_connection\">50000</limit></busconfig>\n";

/** host_program() - path of a program of this build; in $VIVARIUM_BUILD */
const char *host_program(const char *name, char *buf, size_t size) {
        const char *build = getenv("VIVARIUM_BUILD");

        assert_non_null(build);
        assert_true(snprintf(buf, size, "%s/%s", build, name) < (int) size);
        return buf;
}

static void write_file(const char *path, const char *text) {
        _cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

/* Starts a program whose ready-pipe, if it has one, keeps its number. */
static pid_t start(char *const *argv, int ready_fd) {
        posix_spawn_file_actions_t actions;
        pid_t pid;

        assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
        if (ready_fd >= 0)
                assert_int_equal(posix_spawn_file_actions_adddup2(&actions, ready_fd, ready_fd), 0);
        assert_int_equal(posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ), 0);
        (void) posix_spawn_file_actions_destroy(&actions);
        return pid;
}

static void start_bus(BusHost *host) {
        char config[64], config_option[80], text[1024], fd_option[32], line[256];
        int fds[2];

        (void) snprintf(config, sizeof(config), "%s/bus.conf", host->dir);
        (void) snprintf(text, sizeof(text), bus_config, host->dir);
        write_file(config, text);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        (void) snprintf(config_option, sizeof(config_option), "--config-file=%s", config);
        (void) snprintf(fd_option, sizeof(fd_option), "--print-address=%d", fds[1]);
        host->bus_pid = start((char *[]){(char[]){"dbus-daemon"}, config_option, fd_option,
                                         (char[]){"--nofork"}, NULL},
                              fds[1]);
        (void) fd_close(fds[1]);
        /* It says its address once it listens. */
        assert_true(read(fds[0], line, sizeof(line)) > 0);
        (void) fd_close(fds[0]);
        (void) snprintf(host->address, sizeof(host->address), "unix:path=%s/bus", host->dir);
}

/** bus_host_connect() - one more client */
void bus_host_connect(const BusHost *host, sd_bus **ret) {
        assert_true(sd_bus_new(ret) >= 0);
        assert_true(sd_bus_set_address(*ret, host->address) >= 0);
        assert_true(sd_bus_set_bus_client(*ret, true) >= 0);
        assert_true(sd_bus_set_method_call_timeout(*ret, HOST_TIMEOUT_USEC) >= 0);
        assert_true(sd_bus_start(*ret) >= 0);
}

/** bus_host_connect_as() - likewise one that the bus says is of @uid */
sd_bus *bus_host_connect_as(const BusHost *host, uid_t uid) {
        sd_bus *bus;

        assert_int_equal(seteuid(uid), 0);
        bus_host_connect(host, &bus);
        assert_true(sd_bus_get_unique_name(bus, &(const char *){NULL}) >= 0);
        assert_int_equal(seteuid(0), 0);
        return bus;
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusHost *host = userdata;
        HostSignal *signal;

        assert_true(host->n_signals < HOST_SIGNALS_MAX);
        signal = &host->signals[host->n_signals++];
        (void) snprintf(signal->member, sizeof(signal->member), "%s",
                        sd_bus_message_get_member(message));
        signal->message = sd_bus_message_ref(message);
        return 0;
}

static int on_name_appeared(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        *(bool *) userdata = true;
        return 0;
}

/* As systemd would: what is in the store from number 3 on, told in the environment. */
static pid_t start_with_store(NotifyHost *store, char *const *argv) {
        static char names[STORE_MAX * 64];
        char listen_fds[32], notify[160], *listen_names;
        char *wrapped[32] = {(char[]){"/bin/sh"}, (char[]){"-c"},
                             (char[]){"LISTEN_PID=$$ exec \"$0\" \"$@\""}};
        char path[] = "PATH=/usr/bin:/bin", *environment[] = {path, notify, NULL, NULL, NULL};
        posix_spawn_file_actions_t actions;
        int fds[STORE_MAX];
        size_t n = notify_host_list(store, fds, STORE_MAX, names, sizeof(names));
        pid_t pid;

        for (size_t i = 0; argv[i]; i++)
                wrapped[3 + i] = argv[i];
        (void) snprintf(notify, sizeof(notify), "NOTIFY_SOCKET=%s", notify_host_address(store));
        (void) snprintf(listen_fds, sizeof(listen_fds), "LISTEN_FDS=%zu", n);
        assert_true(asprintf(&listen_names, "LISTEN_FDNAMES=%s", names) > 0);
        if (n > 0) {
                environment[2] = listen_fds;
                environment[3] = listen_names;
        }
        assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
        for (size_t i = 0; i < n; i++) {
                int high = fcntl(fds[i], F_DUPFD_CLOEXEC, 3 + STORE_MAX);

                assert_true(high >= 0);
                (void) fd_close(fds[i]);
                fds[i] = high;
                assert_int_equal(posix_spawn_file_actions_adddup2(&actions, high, 3 + (int) i), 0);
        }
        assert_int_equal(posix_spawn(&pid, wrapped[0], &actions, NULL, wrapped, environment), 0);
        (void) posix_spawn_file_actions_destroy(&actions);
        for (size_t i = 0; i < n; i++)
                (void) fd_close(fds[i]);
        free(listen_names);
        return pid;
}

#define FIXED 8u /* arguments that the daemon always has */

static void spawn_daemon(BusHost *host, const char *const *more) {
        char daemon[256], vmm[256], launcher[256], options[5][320];
        char quiet[] = "--log-level=error", dialect[] = "--vmm-dialect=vivarium";
        char *argv[16] = {daemon,     options[0], options[1], options[2],
                          options[3], options[4], quiet,      dialect};
        size_t n = FIXED;

        (void) host_program("vivariumd", daemon, sizeof(daemon));
        (void) snprintf(options[0], sizeof(options[0]), "--bus-address=%s", host->address);
        (void) snprintf(options[1], sizeof(options[1]), "--runtime-dir=%s", host->runtime);
        (void) snprintf(options[2], sizeof(options[2]), "--vmm=%s",
                        host_program("tests/fake/fake_vmm", vmm, sizeof(vmm)));
        (void) snprintf(options[3], sizeof(options[3]), "--launcher=%s",
                        host_program("vivarium-launch", launcher, sizeof(launcher)));
        (void) snprintf(options[4], sizeof(options[4]), "--journal-socket=%s/journal", host->dir);
        for (; more && *more; more++)
                argv[n++] = strdup(*more);
        host->daemon_pid = host->store ? start_with_store(host->store, argv) : start(argv, -EBADF);
        while (n > FIXED)
                free(argv[--n]);
}

static bool has_ended(pid_t pid) {
        siginfo_t info = {0};

        assert_int_equal(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
        return info.si_pid == pid;
}

/* Return: whether it got as far as to have its name. */
static bool start_daemon(BusHost *host, const char *const *more) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;
        sd_bus_slot *slot = NULL;
        bool ready = false;

        assert_true(sd_bus_add_match(host->bus, &slot,
                                     "type='signal',sender='org.freedesktop.DBus',member="
                                     "'NameOwnerChanged',arg0='" VIVARIUM_BUS_NAME "',arg1=''",
                                     on_name_appeared, &ready) >= 0);
        spawn_daemon(host, more);
        while (!ready && !has_ended(host->daemon_pid)) {
                assert_true(clock_monotonic_usec() < deadline);
                if (sd_bus_process(host->bus, NULL) == 0)
                        assert_true(sd_bus_wait(host->bus, 100 * 1000) >= 0);
        }
        (void) sd_bus_slot_unref(slot);
        return ready;
}

/* Answered when the probe is over, whose process a test would otherwise count. */
static void wait_for_probe(BusHost *host) {
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "GetCapabilities", NULL, NULL,
                                       NULL) >= 0);
}

/** bus_host_kill_daemon() - SIGKILL, and all it sent before has arrived */
void bus_host_kill_daemon(BusHost *host) {
        (void) bus_host_stop_daemon(host, SIGKILL);
        if (host->store)
                notify_host_settle(host->store);
}

/** bus_host_restart_daemon() - one more, after the end of the last; has its name when this returns */
void bus_host_restart_daemon(BusHost *host) {
        assert_true(start_daemon(host, NULL));
}

/** bus_host_try_restart_daemon() - likewise one that may end at once. Return: whether it had its name. */
bool bus_host_try_restart_daemon(BusHost *host) {
        return start_daemon(host, NULL);
}

static int setup(void **state, const char *const *more_arguments, bool with_store) {
        BusHost *host = calloc(1, sizeof(*host));

        assert_non_null(host);
        *state = host;
        /* In memory, as /run is. */
        (void) snprintf(host->dir, sizeof(host->dir), "%s/vivarium-test.XXXXXX",
                        access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        assert_non_null(mkdtemp(host->dir));
        /* Clients of other users must get to the bus. */
        assert_int_equal(chmod(host->dir, 0755), 0);
        (void) snprintf(host->runtime, sizeof(host->runtime), "%s/run", host->dir);
        start_bus(host);
        bus_host_connect(host, &host->bus);
        if (with_store)
                host->store = notify_host_new(host->dir);
        assert_true(start_daemon(host, more_arguments));
        wait_for_probe(host);
        assert_true(sd_bus_add_match(host->bus, NULL,
                                     "type='signal',sender='" VIVARIUM_BUS_NAME "'", on_signal,
                                     host) >= 0);
        return 0;
}

/** bus_host_setup_with() - as bus_host_setup(), with more arguments for the daemon, which win over the usual ones */
int bus_host_setup_with(void **state, const char *const *more_arguments) {
        return setup(state, more_arguments, /* with_store= */ false);
}

int bus_host_setup(void **state) {
        return setup(state, NULL, /* with_store= */ false);
}

/** bus_host_setup_with_store() - as bus_host_setup(), with a descriptor store for the daemon */
int bus_host_setup_with_store(void **state) {
        return setup(state, NULL, /* with_store= */ true);
}

static int wait_for(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

/** bus_host_stop_daemon() - send a signal and wait for the end. Return: its wait status. */
int bus_host_stop_daemon(BusHost *host, int signo) {
        int status;

        assert_int_equal(kill(host->daemon_pid, signo), 0);
        status = wait_for(host->daemon_pid);
        host->daemon_pid = 0;
        return status;
}

/** bus_host_forget_signals() - as if none had arrived so far */
void bus_host_forget_signals(BusHost *host) {
        for (size_t i = 0; i < host->n_signals; i++)
                (void) sd_bus_message_unref(host->signals[i].message);
        host->n_signals = 0;
}

/** bus_host_drain() - all VMs end, at once */
void bus_host_drain(BusHost *host) {
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "Drain", NULL, NULL, "t",
                                       (uint64_t) 0) >= 0);
}

/* What the daemon is right to leave behind: the history, and the state of VMs that are not released. */
static void clear_runtime(const BusHost *host) {
        static const char *const files[] = {"history",
                                            "last-cid",
                                            "state/draining",
                                            "unwritten/history",
                                            "unwritten/last-cid",
                                            "unwritten",
                                            "ramdumps",
                                            "vm",
                                            "state"};
        static const char *const dirs[] = {"state", "vm"};
        char path[128];

        for (size_t i = 0; i < ELEMENTSOF(dirs); i++) {
                const struct dirent *entry;
                DIR *dir;

                (void) snprintf(path, sizeof(path), "%s/%s", host->runtime, dirs[i]);
                dir = opendir(path);
                /* A state file, or the empty directory of a VM that was not started. */
                while (dir && (entry = readdir(dir)))
                        if (i == 1 || strlen(entry->d_name) == 32)
                                (void) unlinkat(dirfd(dir), entry->d_name,
                                                i == 1 ? AT_REMOVEDIR : 0);
                if (dir)
                        (void) closedir(dir);
        }
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                (void) snprintf(path, sizeof(path), "%s/%s", host->runtime, files[i]);
                (void) remove(path);
        }
}

/* The daemon must end with success, which it does not when it leaks under a sanitizer. */
int bus_host_teardown(void **state) {
        static const char *const files[] = {"bus.conf", "bus", "journal"};
        BusHost *host = *state;
        char path[64];
        int status = 0;

        bus_host_forget_signals(host);
        if (host->daemon_pid > 0)
                bus_host_drain(host);
        (void) sd_bus_flush_close_unref(host->bus);
        if (host->daemon_pid > 0)
                status = bus_host_stop_daemon(host, SIGTERM);
        host->store = notify_host_free(host->store);
        (void) kill(host->bus_pid, SIGTERM);
        (void) wait_for(host->bus_pid);
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                (void) snprintf(path, sizeof(path), "%s/%s", host->dir, files[i]);
                (void) unlink(path);
        }
        clear_runtime(host);
        (void) rmdir(host->runtime);
        /* Fails if the daemon left anything behind. */
        assert_int_equal(rmdir(host->dir), 0);
        free(host);
        assert_int_equal(status, 0);
        return 0;
}

static bool signal_matches(const HostSignal *signal, const char *member, const char *path) {
        return str_eq(signal->member, member) &&
               (!path || str_eq(sd_bus_message_get_path(signal->message), path));
}

/**
 * bus_host_wait_signal() - the first signal of that name, waiting for it if need be
 * @path: of the sending object, or NULL for any
 *
 * Return: borrowed from @host until bus_host_forget_signals(); rewound.
 */
sd_bus_message *bus_host_wait_signal(BusHost *host, const char *member, const char *path) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;
        size_t seen = 0;

        for (;;) {
                for (; seen < host->n_signals; seen++)
                        if (signal_matches(&host->signals[seen], member, path)) {
                                assert_true(sd_bus_message_rewind(host->signals[seen].message,
                                                                  true) >= 0);
                                return host->signals[seen].message;
                        }
                assert_true(clock_monotonic_usec() < deadline);
                if (sd_bus_process(host->bus, NULL) == 0)
                        assert_true(sd_bus_wait(host->bus, 100 * 1000) >= 0);
        }
}

/** bus_host_count_signals() - how many of that name have arrived */
size_t bus_host_count_signals(BusHost *host, const char *member, const char *path) {
        size_t n = 0;

        for (size_t i = 0; i < host->n_signals; i++)
                n += signal_matches(&host->signals[i], member, path);
        return n;
}

/** bus_host_settle() - all that the daemon had to say until now has arrived: it answers in order */
void bus_host_settle(BusHost *host) {
        int r;

        /* A change is told at the end of the daemon's turn, so the second call comes after it. */
        for (unsigned i = 0; i < 2; i++)
                assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                               "org.freedesktop.DBus.Peer", "Ping", NULL, NULL,
                                               NULL) >= 0);
        while ((r = sd_bus_process(host->bus, NULL)) > 0)
                ;
        assert_true(r >= 0);
}
