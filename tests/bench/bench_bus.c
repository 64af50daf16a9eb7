/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The round trip of a call through a bus: to our daemon, and to the smallest server that sd-bus can make, which is the
 * floor. Both are asked in turn within one run, so that they share whatever else the machine does.
 *
 * usage: bench_bus ADDRESS CALLS
 *
 * Prints: median microseconds of ours, of the floor; resident KiB of ours, of the floor.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "dbus/names.h"

#define FLOOR_NAME "org.vivarium.bench"

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

/* The floor: a name on the bus and the loop that sd-bus itself answers Ping from. */
static int serve_floor(const char *address) {
        sd_bus *bus = NULL;
        sd_event *event = NULL;
        int r;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        r = sd_event_default(&event);
        if (r >= 0)
                r = open_bus(address, &bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, 0);
        if (r >= 0)
                r = sd_bus_request_name(bus, FLOOR_NAME, 0);
        return r < 0 ? r : sd_event_loop(event);
}

static int ping(sd_bus *bus, const char *name, uint64_t *ret_nsec) {
        uint64_t start = clock_monotonic_nsec();
        int r;

        r = sd_bus_call_method(bus, name, "/", "org.freedesktop.DBus.Peer", "Ping", NULL, NULL,
                               NULL);
        *ret_nsec = clock_monotonic_nsec() - start;
        return r < 0 ? r : 0;
}

static int compare(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

static int owner_rss_kib(sd_bus *bus, const char *name, uint64_t *ret) {
        sd_bus_creds *creds = NULL;
        char path[64], line[256];
        FILE *file = NULL;
        pid_t pid;
        int r;

        r = sd_bus_get_name_creds(bus, name, SD_BUS_CREDS_PID, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_pid(creds, &pid);
        sd_bus_creds_unref(creds);
        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        file = fopen(path, "re");
        if (!file)
                return -errno;
        r = -ENODATA;
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "VmRSS: %" SCNu64, ret) == 1)
                        r = 0;
        (void) fclose(file);
        return r;
}

static int wait_for_name(sd_bus *bus, const char *name) {
        uint64_t nsec;
        int r = -ENOENT;

        /* The child asks for its name while we ask for its answer: bounded by the bus, which answers at once. */
        for (int i = 0; i < 100000 && r < 0; i++)
                r = ping(bus, name, &nsec);
        return r;
}

static int measure(const char *address, size_t calls, uint64_t *ours, uint64_t *floor,
                   uint64_t rss_kib[2]) {
        sd_bus *bus = NULL;
        int r;

        r = open_bus(address, &bus);
        if (r >= 0)
                r = wait_for_name(bus, FLOOR_NAME);
        if (r >= 0)
                r = wait_for_name(bus, VIVARIUM_BUS_NAME);
        for (size_t i = 0; i < calls && r >= 0; i++) {
                r = ping(bus, VIVARIUM_BUS_NAME, &ours[i]);
                if (r >= 0)
                        r = ping(bus, FLOOR_NAME, &floor[i]);
        }
        if (r >= 0)
                r = owner_rss_kib(bus, VIVARIUM_BUS_NAME, &rss_kib[0]);
        if (r >= 0)
                r = owner_rss_kib(bus, FLOOR_NAME, &rss_kib[1]);
        sd_bus_flush_close_unref(bus);
        return r;
}

int main(int argc, char **argv) {
        uint64_t calls, rss_kib[2] = {0}, *ours = NULL, *floor = NULL;
        pid_t child;
        int r = -ENOMEM;

        if (argc != 3 || parse_u64(argv[2], &calls) < 0 || calls == 0 || calls > 1000000) {
                (void) fprintf(stderr, "usage: %s ADDRESS CALLS\n", argv[0]);
                return EXIT_FAILURE;
        }
        child = fork();
        if (child < 0)
                return EXIT_FAILURE;
        if (child == 0)
                return serve_floor(argv[1]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        ours = calloc(calls, sizeof(*ours));
        floor = calloc(calls, sizeof(*floor));
        if (ours && floor)
                r = measure(argv[1], calls, ours, floor, rss_kib);
        (void) kill(child, SIGKILL);
        (void) waitpid(child, NULL, 0);
        if (r >= 0) {
                qsort(ours, calls, sizeof(*ours), compare);
                qsort(floor, calls, sizeof(*floor), compare);
                const uint64_t median = ours[calls / 2], floor_median = floor[calls / 2];

                (void) printf("%.1f %.1f %" PRIu64 " %" PRIu64 "\n", (double) median / 1000,
                              (double) floor_median / 1000, rss_kib[0], rss_kib[1]);
        } else {
                (void) fprintf(stderr, "bench_bus: %s\n", strerror(-r));
        }
        free(ours);
        free(floor);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
