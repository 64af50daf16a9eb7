/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How long clients are without the service when it is killed: from the start of the next daemon to its first answer,
 * which comes when every VM is attached. The daemon is killed after each round, and its VMs run on.
 *
 * usage: bench_adopt ADDRESS VMS ROUNDS DAEMON [ARGUMENT...]
 *
 * @VMS VMs run, and no daemon does. Prints the median in milliseconds.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "dbus/names.h"

#define WAIT_USEC (60 * USEC_PER_SEC)

static int open_bus(const char *address, sd_bus **ret) {
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, 1);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *name, *before, *now;
        bool *there = userdata;

        if (sd_bus_message_read(message, "sss", &name, &before, &now) >= 0 &&
            str_eq(name, VIVARIUM_BUS_NAME))
                *there = *now != '\0';
        return 0;
}

static int await_name(sd_bus *bus, const bool *there, bool wanted) {
        int r = 0;

        while (r >= 0 && *there != wanted) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, WAIT_USEC) == 0 ? -ETIMEDOUT : 0;
        }
        return r < 0 ? r : 0;
}

/* VMs that the service says run. */
static int count_running(sd_bus *bus, uint64_t *ret) {
        sd_bus_message *reply = NULL;
        const char *state;
        uint64_t n = 0;
        int r;

        r = sd_bus_call_method(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                               VIVARIUM_MANAGER_INTERFACE, "ListVms", NULL, &reply, "");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(susssuo)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(susssuo)", NULL, NULL, &state, NULL,
                                                  NULL, NULL, NULL)) > 0)
                n += str_eq(state, "running");
        sd_bus_message_unref(reply);
        *ret = n;
        return r < 0 ? r : 0;
}

static int round_once(sd_bus *bus, const bool *there, char **daemon, uint64_t vms,
                      uint64_t *ret_nsec) {
        uint64_t begin = clock_monotonic_nsec(), running = 0;
        pid_t child;
        int r;

        r = -posix_spawn(&child, daemon[0], NULL, NULL, daemon, environ);
        if (r < 0)
                return r;
        r = await_name(bus, there, true);
        if (r == 0)
                r = count_running(bus, &running);
        *ret_nsec = clock_monotonic_nsec() - begin;
        (void) kill(child, SIGKILL);
        (void) waitpid(child, NULL, 0);
        if (r == 0 && running != vms) {
                (void) fprintf(stderr, "bench_adopt: %" PRIu64 " of %" PRIu64 " VMs run\n", running,
                               vms);
                return -ENXIO;
        }
        return r < 0 ? r : await_name(bus, there, false);
}

static int compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
        uint64_t vms, rounds, *nsec = NULL;
        sd_bus *bus = NULL;
        bool there = false;
        int r;

        if (argc < 5 || parse_u64(argv[2], &vms) < 0 || parse_u64(argv[3], &rounds) < 0 ||
            rounds == 0 || rounds > 10000) {
                (void) fprintf(stderr, "usage: %s ADDRESS VMS ROUNDS DAEMON [ARGUMENT...]\n",
                               argv[0]);
                return EXIT_FAILURE;
        }
        nsec = calloc(rounds, sizeof(*nsec));
        r = nsec ? open_bus(argv[1], &bus) : -ENOMEM;
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus", NULL,
                                        "org.freedesktop.DBus", "NameOwnerChanged", on_owner,
                                        &there);
        for (uint64_t i = 0; i < rounds && r >= 0; i++)
                r = round_once(bus, &there, argv + 4, vms, &nsec[i]);
        if (r >= 0) {
                qsort(nsec, rounds, sizeof(*nsec), compare);
                const uint64_t median = nsec[rounds / 2];

                (void) printf("%.2f\n", (double) median / 1e6);
        } else
                (void) fprintf(stderr, "bench_adopt: %s\n", strerror(-r));
        sd_bus_flush_close_unref(bus);
        free(nsec);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
