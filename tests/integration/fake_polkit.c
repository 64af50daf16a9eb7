/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/fake_polkit.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define TEST_INTERFACE "org.vivarium.test.Polkit"
#define ACTIONS_MAX 8u

typedef struct Authority {
        struct {
                char action[64];
                uint32_t verdict;
        } actions[ACTIONS_MAX];
        uint32_t n_asked, n_interactive, n_cancelled, n_detailed;
} Authority;

static uint32_t find_verdict(const Authority *authority, const char *action) {
        for (size_t i = 0; i < ACTIONS_MAX; i++)
                if (str_eq(authority->actions[i].action, action))
                        return authority->actions[i].verdict;
        return FAKE_NO;
}

static int on_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Authority *authority = userdata;
        const char *kind, *key, *sender, *action;
        uint32_t flags, verdict;
        int r;

        r = sd_bus_message_read(m, "(sa{sv})s", &kind, 1, &key, "s", &sender, &action);
        if (r < 0)
                return r;
        if (!str_eq(kind, "system-bus-name") || !str_eq(key, "name") || sender[0] != ':')
                return -EINVAL;
        r = sd_bus_message_enter_container(m, 'a', "{ss}");
        while (r >= 0 && sd_bus_message_at_end(m, 0) == 0) {
                r = sd_bus_message_skip(m, "{ss}");
                authority->n_detailed++;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = sd_bus_message_read(m, "us", &flags, NULL);
        if (r < 0)
                return r;
        authority->n_asked++;
        authority->n_interactive += flags & 1;
        verdict = find_verdict(authority, action);
        if (verdict == FAKE_SILENCE)
                return 1;
        if (verdict == FAKE_NONSENSE)
                return sd_bus_reply_method_return(m, "s", "perhaps");
        return sd_bus_reply_method_return(m, "(bba{ss})", verdict == FAKE_YES,
                                          verdict == FAKE_CHALLENGE, 0);
}

static int on_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ((Authority *) userdata)->n_cancelled++;
        return sd_bus_reply_method_return(m, "");
}

static int on_set(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Authority *authority = userdata;
        const char *action;
        uint32_t verdict;
        int r = sd_bus_message_read(m, "su", &action, &verdict);

        for (size_t i = 0; r >= 0 && i < ACTIONS_MAX; i++)
                if (!*authority->actions[i].action ||
                    str_eq(authority->actions[i].action, action)) {
                        (void) snprintf(authority->actions[i].action,
                                        sizeof(authority->actions[i].action), "%s", action);
                        authority->actions[i].verdict = verdict;
                        return sd_bus_reply_method_return(m, "");
                }
        return r < 0 ? r : -ENOSPC;
}

static int on_count(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Authority *authority = userdata;
        const char *what;
        int r = sd_bus_message_read(m, "s", &what);

        if (r < 0)
                return r;
        return sd_bus_reply_method_return(m, "u",
                                          str_eq(what, "asked")         ? authority->n_asked
                                          : str_eq(what, "interactive") ? authority->n_interactive
                                          : str_eq(what, "cancelled")   ? authority->n_cancelled
                                                                        : authority->n_detailed);
}

static const sd_bus_vtable polkit_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", on_check,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CancelCheckAuthorization", "s", "", on_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable test_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Set", "su", "", on_set, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Count", "s", "u", on_count, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* Until the test ends it, or the bus goes. */
static int serve(const BusHost *host, int ready_fd) {
        static Authority authority;
        sd_bus *bus = NULL;
        int r;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, host->address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, POLKIT_PATH, POLKIT_INTERFACE,
                                             polkit_vtable, &authority);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, POLKIT_PATH, TEST_INTERFACE, test_vtable,
                                             &authority);
        if (r >= 0)
                r = sd_bus_request_name(bus, POLKIT_NAME, 0);
        if (r >= 0 && write(ready_fd, "r", 1) != 1)
                r = -EPIPE;
        while (r >= 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        return r;
}

/** fake_polkit_start() - it has its name when this returns; says no to all until told otherwise */
void fake_polkit_start(const BusHost *host, FakePolkit *ret) {
        int fds[2];
        char c;

        assert_int_equal(pipe(fds), 0);
        ret->bus = host->bus;
        ret->pid = fork();
        assert_true(ret->pid >= 0);
        if (ret->pid == 0) {
                /* Connections of the test must end when the test ends them. */
                if (dup2(fds[1], STDIN_FILENO) < 0 || close_range(3, UINT_MAX, 0) < 0)
                        _exit(1);
                _exit(serve(host, STDIN_FILENO) < 0);
        }
        (void) close(fds[1]);
        assert_int_equal(read(fds[0], &c, 1), 1);
        (void) close(fds[0]);
}

/** fake_polkit_stop() - as if it was never installed */
void fake_polkit_stop(FakePolkit *polkit) {
        assert_int_equal(kill(polkit->pid, SIGKILL), 0);
        assert_int_equal(waitpid(polkit->pid, NULL, 0), polkit->pid);
}

/** fake_polkit_set() - what it says to the last word of an action's name from now on */
void fake_polkit_set(const FakePolkit *polkit, const char *action, FakeVerdict verdict) {
        char id[64];

        (void) snprintf(id, sizeof(id), "org.vivarium.vm1.%s", action);
        assert_true(sd_bus_call_method(polkit->bus, POLKIT_NAME, POLKIT_PATH, TEST_INTERFACE, "Set",
                                       NULL, NULL, "su", id, (uint32_t) verdict) >= 0);
}

/** fake_polkit_allow() - say yes to a NULL-terminated list of them */
void fake_polkit_allow(const FakePolkit *polkit, const char *const *actions) {
        for (; *actions; actions++)
                fake_polkit_set(polkit, *actions, FAKE_YES);
}

/** fake_polkit_count() - "asked", "interactive", "cancelled" questions so far, or "details" in them */
uint32_t fake_polkit_count(const FakePolkit *polkit, const char *what) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        uint32_t n;

        assert_true(sd_bus_call_method(polkit->bus, POLKIT_NAME, POLKIT_PATH, TEST_INTERFACE,
                                       "Count", NULL, &reply, "s", what) >= 0);
        assert_true(sd_bus_message_read(reply, "u", &n) > 0);
        return n;
}

/** fake_polkit_wait() - until there are @n of them */
void fake_polkit_wait(const FakePolkit *polkit, const char *what, uint32_t n) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;

        while (fake_polkit_count(polkit, what) < n)
                assert_true(clock_monotonic_usec() < deadline);
}
