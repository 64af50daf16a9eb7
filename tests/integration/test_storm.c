/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storm of restarts: the daemon is killed at random instants while VMs are made, started, run, die and are killed.
 * Whatever it had begun, the next daemon must finish or undo: no VM is disturbed, each death is in the history once and
 * for its own reason, and nothing is left in the end.
 *
 * $VIVARIUM_STORM_KILLS (20) daemons are killed; $VIVARIUM_STORM_SEED repeats a run. A VM has one end, chosen when it is
 * made, so its reason is known; a call that a dying daemon did not answer is made again, as any client would.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/proc_stat.h"
#include "base/str.h"
#include "dbus/names.h"
#include "tests/integration/vm_client.h"

#define VMS 20u
#define KILLS_DEFAULT 20u
/* A daemon lives so long at most before it is killed; its start alone takes some ms. */
#define LIFE_USEC_MAX 30000u
/* Of the VMs that run, one in so many is given its end in a daemon's life. */
#define ONE_IN 8

/* What ends a VM, and the reason that its record must have. */
static const struct {
        const char *params, *reason;
        int signal;   /* to the VMM; 0: none */
        bool by_call; /* Kill() */
} ends[] = {
        {"await exit:0", "SHUTDOWN", SIGUSR1, false},
        {"await exit:33", "CRASH", SIGUSR1, false},
        {"await exit:34", "GUEST_PANIC", SIGUSR1, false},
        {"await failure:MICRODROID_PAYLOAD_HAS_CHANGED exit:0", "MICRODROID_PAYLOAD_HAS_CHANGED",
         SIGUSR1, false},
        {"sleep", "VMM_CRASH", SIGKILL, false},
        {"sleep", "VMM_CRASH", SIGSEGV, false},
        {"sleep", "KILLED", 0, true},
        {"exit:32", "REBOOT", 0, false},
};

typedef struct Slot {
        struct Storm *storm;
        char name[24];
        size_t end;          /* index of ends[] */
        sd_bus_slot *call;   /* owned; a call that is not answered yet */
        char *path;          /* owned; NULL until its creation was answered */
        pid_t pid;           /* of its VMM, once seen to run */
        uint64_t start_time; /* of that process */
        bool ending;         /* its end was brought about */
        bool dead;           /* seen to be */
} Slot;

typedef struct Storm {
        BusHost *host;
        Slot slots[VMS];
        unsigned n_made, n_dead;
        char **names; /* owned array of owned; of all VMs that were made */
        size_t *name_ends;
} Storm;

static unsigned below(unsigned limit) {
        return (unsigned) random() % limit;
}

static unsigned setting(const char *name, unsigned otherwise) {
        const char *text = getenv(name);

        return text && *text ? (unsigned) strtoul(text, NULL, 10) : otherwise;
}

/* Every answer ends the call; whether it was done is looked up when the next daemon is there. */
static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Slot *slot = userdata;
        const char *path;

        slot->call = sd_bus_slot_unref(slot->call);
        if (!sd_bus_message_is_method_error(reply, NULL) && !slot->path &&
            sd_bus_message_read(reply, "o", &path) >= 0)
                slot->path = strdup(path);
        return 0;
}

static void send_create(Slot *slot) {
        const VmSpec spec = {.params = ends[slot->end].params, .name = slot->name, .detach = true};
        sd_bus *bus = slot->storm->host->bus;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = vm_new_create_call(bus, &spec);

        assert_true(sd_bus_call_async(bus, &slot->call, call, on_answer, slot, HOST_TIMEOUT_USEC) >=
                    0);
}

static void send(Slot *slot, const char *method) {
        assert_true(sd_bus_call_method_async(slot->storm->host->bus, &slot->call, VIVARIUM_BUS_NAME,
                                             slot->path, VIVARIUM_VM_INTERFACE, method, on_answer,
                                             slot, NULL) >= 0);
}

static void make(Slot *slot) {
        Storm *storm = slot->storm;

        *slot = (Slot){.storm = storm, .end = below(ELEMENTSOF(ends))};
        (void) snprintf(slot->name, sizeof(slot->name), "storm-%u", storm->n_made);
        storm->names = reallocarray(storm->names, storm->n_made + 1, sizeof(char *));
        storm->name_ends = reallocarray(storm->name_ends, storm->n_made + 1, sizeof(size_t));
        assert_true(storm->names && storm->name_ends);
        storm->names[storm->n_made] = strdup(slot->name);
        storm->name_ends[storm->n_made++] = slot->end;
        send_create(slot);
}

/* A process that is given up to its end is still there, as a zombie, until its keeper has written that down. */
static bool is_same_process(const Slot *slot) {
        uint64_t start_time;

        return proc_stat_read(slot->pid, PROC_STAT_START_TIME, &start_time) == 0 &&
               start_time == slot->start_time;
}

/* The fake VMM says by its name that it awaits SIGUSR1, which would be the end of it before. */
static bool is_awaiting(const Slot *slot) {
        char path[64], name[32] = "";
        _cleanup_(fd_closep) int fd = -EBADF;

        (void) snprintf(path, sizeof(path), "/proc/%d/comm", slot->pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd >= 0 && read(fd, name, sizeof(name) - 1) > 0 && str_eq(name, "awaiting\n");
}

static void bring_end(Slot *slot) {
        int signo = ends[slot->end].signal;

        if (signo == SIGUSR1 && !slot->ending && !is_awaiting(slot))
                return; /* another time */
        if (ends[slot->end].by_call)
                send(slot, "Kill");
        else if (signo > 0 && !slot->ending)
                assert_int_equal(kill(slot->pid, signo), 0);
        slot->ending = true;
}

/* Calls are not awaited: the daemon may be killed in the midst of them. */
static void stir(Storm *storm, bool calm) {
        for (size_t i = 0; i < VMS; i++) {
                Slot *slot = &storm->slots[i];

                if (slot->call)
                        continue;
                if (slot->dead && slot->path && !calm) {
                        free(slot->path);
                        make(slot);
                } else if (slot->pid > 0 && !slot->dead && (calm || below(ONE_IN) == 0))
                        bring_end(slot);
                else if (slot->path && slot->pid == 0 && !slot->dead)
                        send(slot, "Start");
        }
}

static void process_for(BusHost *host, uint64_t usec) {
        uint64_t until = clock_monotonic_usec() + usec, now;

        while ((now = clock_monotonic_usec()) < until)
                if (sd_bus_process(host->bus, NULL) == 0)
                        assert_true(sd_bus_wait(host->bus, until - now) >= 0);
}

static void await_calls(Storm *storm) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;

        for (size_t i = 0; i < VMS; i++)
                while (storm->slots[i].call) {
                        assert_true(clock_monotonic_usec() < deadline);
                        process_for(storm->host, 1000);
                }
}

/* A creation that was not answered may have been done. */
static void find(Slot *slot) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;

        if (sd_bus_call_method(slot->storm->host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                               VIVARIUM_MANAGER_INTERFACE, "GetVm", &error, &reply, "s",
                               slot->name) >= 0) {
                assert_true(sd_bus_message_read(reply, "o", &path) >= 0);
                slot->path = strdup(path);
        } else {
                assert_string_equal(error.name, VIVARIUM_ERROR_NO_SUCH_VM);
                send_create(slot);
        }
}

static void note_running(Slot *slot) {
        pid_t pid = (pid_t) vm_get_number(slot->storm->host->bus, slot->path, "Pid");

        if (pid == 0)
                return; /* it ended meanwhile */
        if (slot->pid == 0 && proc_stat_read(pid, PROC_STAT_START_TIME, &slot->start_time) == 0)
                slot->pid = pid;
        else if (slot->pid > 0)
                assert_int_equal(pid, slot->pid);
}

static void note_dead(Slot *slot) {
        Storm *storm = slot->storm;
        _cleanup_(freep) char *reason = vm_get_string(storm->host->bus, slot->path, "DeathReason");

        if (!str_eq(reason, ends[slot->end].reason))
                fail_msg("%s ended for %s, not %s", slot->name, reason, ends[slot->end].reason);
        /* Its own words must be over: a VM that was to run on is not dead. */
        if (!slot->ending && !str_eq(reason, "REBOOT"))
                fail_msg("%s ended for %s before its time (process %d, signal %d)", slot->name,
                         reason, slot->pid, ends[slot->end].signal);
        slot->dead = true;
        storm->n_dead++;
        vm_call_ok(storm->host->bus, slot->path, "Release");
}

/* All VMs are as they were, or further on their way. */
static void inspect(Storm *storm) {
        for (size_t i = 0; i < VMS; i++) {
                _cleanup_(freep) char *state = NULL;
                Slot *slot = &storm->slots[i];

                if (slot->dead || slot->call)
                        continue;
                if (!slot->path)
                        find(slot);
                if (!slot->path)
                        continue;
                state = vm_get_string(storm->host->bus, slot->path, "State");
                if (str_eq(state, "running"))
                        note_running(slot);
                else if (str_eq(state, "dead"))
                        note_dead(slot);
                else
                        assert_string_equal(state, "not-started");
                if (slot->pid > 0 && !slot->dead && !slot->ending && ends[slot->end].signal != 0)
                        assert_true(is_same_process(slot));
        }
}

static size_t name_index(const Storm *storm, const char *name) {
        for (size_t i = 0; i < storm->n_made; i++)
                if (str_eq(storm->names[i], name))
                        return i;
        fail_msg("nobody made a VM \"%s\"", name);
        return 0;
}

static void check_entry(const Storm *storm, sd_bus_message *reply, bool *seen) {
        char name[80] = "", reason[80] = "";
        size_t i;

        assert_true(sd_bus_message_enter_container(reply, 'a', "{sv}") > 0);
        while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
                const char *key, *value;

                assert_true(sd_bus_message_read_basic(reply, 's', &key) > 0);
                if (str_eq(key, "name") || str_eq(key, "reason")) {
                        assert_true(sd_bus_message_read(reply, "v", "s", &value) > 0);
                        (void) snprintf(key[0] == 'n' ? name : reason, sizeof(name), "%s", value);
                } else
                        assert_true(sd_bus_message_skip(reply, "v") >= 0);
                assert_true(sd_bus_message_exit_container(reply) >= 0);
        }
        assert_true(sd_bus_message_exit_container(reply) >= 0);
        i = name_index(storm, name);
        if (seen[i])
                fail_msg("the death of %s is in the history twice", name);
        seen[i] = true;
        assert_string_equal(reason, ends[storm->name_ends[i]].reason);
}

static void check_history(const Storm *storm) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) bool *seen = calloc(storm->n_made, sizeof(*seen));

        assert_non_null(seen);
        assert_true(sd_bus_call_method(storm->host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "GetHistory", NULL, &reply, "su",
                                       "", (uint32_t) 0) >= 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "a{sv}") > 0);
        while (sd_bus_message_at_end(reply, false) == 0)
                check_entry(storm, reply, seen);
        for (size_t i = 0; i < storm->n_made; i++)
                if (!seen[i])
                        fail_msg("the death of %s is not in the history", storm->names[i]);
}

/* What a killed daemon leaves comes to us, who are the subreaper: the keepers, and its probe of the hypervisors. */
static size_t reap_orphans(const BusHost *host) {
        char path[64], word[16];
        size_t n = 0;
        FILE *file;

        (void) snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
        file = fopen(path, "re");
        assert_non_null(file);
        while (fscanf(file, "%15s", word) == 1) {
                pid_t pid = (pid_t) strtol(word, NULL, 10);

                if (pid != host->bus_pid && pid != host->daemon_pid)
                        n += waitpid(pid, NULL, WNOHANG) == 0;
        }
        (void) fclose(file);
        return n;
}

static void await_orphans(const BusHost *host) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;

        while (reap_orphans(host) > 0)
                if (clock_monotonic_usec() > deadline)
                        fail_msg("processes are left that belong to no VM");
}

/* Answered when the probe of the hypervisors is over. */
static void wait_for_probe(BusHost *host) {
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "GetCapabilities", NULL, NULL,
                                       NULL) >= 0);
}

static size_t count_files(const BusHost *host, const char *dir) {
        char path[96];
        size_t n = 0;
        DIR *d;

        (void) snprintf(path, sizeof(path), "%s/%s", host->runtime, dir);
        d = opendir(path);
        assert_non_null(d);
        while (readdir(d))
                n++;
        (void) closedir(d);
        return n - 2;
}

static void let_all_end(Storm *storm) {
        uint64_t deadline = clock_monotonic_usec() + 2 * HOST_TIMEOUT_USEC;
        bool done = false;

        while (!done) {
                assert_true(clock_monotonic_usec() < deadline);
                stir(storm, /* calm= */ true);
                process_for(storm->host, 5000);
                await_calls(storm);
                inspect(storm);
                done = true;
                for (size_t i = 0; i < VMS; i++)
                        done = done && storm->slots[i].dead;
        }
        await_calls(storm);
}

static void storm_free(Storm *storm) {
        for (size_t i = 0; i < VMS; i++)
                free(storm->slots[i].path);
        for (size_t i = 0; i < storm->n_made; i++)
                free(storm->names[i]);
        free(storm->names);
        free(storm->name_ends);
        free(storm);
}

static void test_daemons_killed_at_random_lose_nothing(void **state) {
        unsigned kills = setting("VIVARIUM_STORM_KILLS", KILLS_DEFAULT);
        unsigned seed = setting("VIVARIUM_STORM_SEED",
                                (unsigned) (clock_monotonic_usec() ^ (unsigned) getpid()));
        Storm *storm = calloc(1, sizeof(*storm));
        BusHost *host = *state;
        Holdings before, after;

        assert_non_null(storm);
        print_message("VIVARIUM_STORM_SEED=%u repeats this\n", seed);
        srandom(seed);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
        before = daemon_holdings(host);
        assert_int_equal(before.children, 0);
        storm->host = host;
        for (size_t i = 0; i < VMS; i++) {
                storm->slots[i].storm = storm;
                make(&storm->slots[i]);
        }
        for (unsigned i = 0; i < kills; i++) {
                process_for(host, below(LIFE_USEC_MAX));
                stir(storm, /* calm= */ false);
                process_for(host, below(LIFE_USEC_MAX));
                bus_host_kill_daemon(host);
                await_calls(storm); /* the bus says that nobody will answer */
                (void) reap_orphans(host);
                bus_host_restart_daemon(host);
                inspect(storm);
                bus_host_forget_signals(host);
        }
        let_all_end(storm);
        print_message("%u VMs were made, %u died, %u daemons were killed\n", storm->n_made,
                      storm->n_dead, kills);
        check_history(storm);
        bus_host_settle(host);
        assert_int_equal(manager_vm_count(host->bus), 0);
        assert_int_equal(count_files(host, "state"), 0);
        assert_int_equal(count_files(host, "vm"), 0);
        /* One more, without a VM, holds what the first one held. */
        bus_host_kill_daemon(host);
        bus_host_restart_daemon(host);
        wait_for_probe(host);
        await_orphans(host);
        after = daemon_holdings(host);
        assert_same_holdings(&before, &after);
        storm_free(storm);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_daemons_killed_at_random_lose_nothing,
                                                bus_host_setup_with_store, bus_host_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
