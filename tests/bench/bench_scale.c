/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The daemon with very many VMs, whose VMM is the stand-in of tests/fake: so what is measured is the daemon's own.
 *
 * usage: bench_scale ADDRESS METRICS-SOCKET VMS IDLE-SECONDS DEATHS
 *
 * Prints one line `WORD VALUE` each: memory (KiB of the daemon for each running VM), cpu (percent of one processor over
 * IDLE-SECONDS in which nobody asks for anything), list and sweep (median milliseconds of ListVms() and of a scrape),
 * death (median milliseconds from SIGKILL of a VMM to Died at the client, the others running on) and cycle (VMs a second
 * that are created, started, killed and released, one after another).
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"

enum { ROUNDS = 101, CYCLES = 100 };

/* The first VMs fill caches, of the allocator and of the libraries, that are not theirs alone. */
enum { WARM_UP_VMS = 20 };

#define CALL_USEC (60 * USEC_PER_SEC)

typedef struct Bench {
        sd_bus *bus;         /* owned */
        const char *metrics; /* borrowed; path of a socket */
        pid_t daemon;
        uint64_t *nsec; /* owned; room for as many measurements as one figure has */
        const char *
                awaited; /* borrowed; path of the VM whose end is waited for; NULL once it was told */
} Bench;

static int compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

static void print_median(const char *word, uint64_t *nsec, size_t n) {
        size_t middle = n / 2;

        qsort(nsec, n, sizeof(*nsec), compare);
        (void) printf("%s %.3f\n", word, (double) nsec[middle] / 1e6);
        (void) fflush(stdout);
}

static int on_died(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Bench *bench = userdata;

        if (bench->awaited && str_eq(sd_bus_message_get_path(message), bench->awaited))
                bench->awaited = NULL;
        return 0;
}

static int find_daemon(sd_bus *bus, pid_t *ret) {
        sd_bus_creds *creds = NULL;
        int r;

        r = sd_bus_get_name_creds(bus, VIVARIUM_BUS_NAME, SD_BUS_CREDS_PID, &creds);
        if (r >= 0)
                r = sd_bus_creds_get_pid(creds, ret);
        sd_bus_creds_unref(creds);
        return r;
}

static int open_bus(Bench *bench, const char *address) {
        int r;

        r = sd_bus_new(&bench->bus);
        if (r >= 0)
                r = sd_bus_set_address(bench->bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bench->bus, 1);
        if (r >= 0)
                r = sd_bus_start(bench->bus);
        if (r >= 0)
                r = sd_bus_match_signal(bench->bus, NULL, VIVARIUM_BUS_NAME, NULL,
                                        VIVARIUM_VM_INTERFACE, "Died", on_died, bench);
        return r < 0 ? r : find_daemon(bench->bus, &bench->daemon);
}

/* ---- what the kernel knows of the daemon ---- */

static int read_proc(const Bench *bench, const char *name, char **ret) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) bench->daemon, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd_read_bounded(fd, 65536, ret, NULL);
}

static int read_memory_kib(const Bench *bench, uint64_t *ret) {
        _cleanup_(freep) char *text = NULL;
        int r = read_proc(bench, "status", &text);
        const char *at;

        if (r < 0)
                return r;
        assert(text);
        at = strstr(text, "VmRSS:");
        return at && sscanf(at, "VmRSS: %" SCNu64, ret) == 1 ? 0 : -ENODATA;
}

/* The scheduler's own account, for a tick is longer than what is measured. */
static int read_cpu_nsec(const Bench *bench, uint64_t *ret) {
        _cleanup_(freep) char *text = NULL;
        int r = read_proc(bench, "schedstat", &text);

        if (r < 0)
                return r;
        assert(text);
        return sscanf(text, "%" SCNu64, ret) == 1 ? 0 : -ENODATA;
}

/* ---- what a client does ---- */

static int call_vm(const Bench *bench, const char *path, const char *method) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call_method(bench->bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE, method,
                               &error, NULL, NULL);
        if (r < 0)
                (void) fprintf(stderr, "bench_scale: %s: %s\n", method, error.message);
        sd_bus_error_free(&error);
        return r < 0 ? r : 0;
}

static int create(const Bench *bench, char **ret) {
        _cleanup_(fd_closep) int kernel = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        const char *path;
        int r;

        if (kernel < 0)
                return -errno;
        r = sd_bus_call_method(bench->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                               VIVARIUM_MANAGER_INTERFACE, "CreateVm", &error, &reply,
                               "sa{sh}a{sv}", "{\"kernel\": \"fd:kernel\", \"params\": \"sleep\"}",
                               1, "kernel", kernel, 0);
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        else
                (void) fprintf(stderr, "bench_scale: CreateVm: %s\n", error.message);
        *ret = r < 0 ? NULL : strdup(path);
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
        return r < 0 ? r : *ret ? 0 : -ENOMEM;
}

static int run(const Bench *bench, char **ret) {
        int r = create(bench, ret);

        return r < 0 ? r : call_vm(bench, *ret, "Start");
}

static int run_many(const Bench *bench, char **paths, size_t n) {
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = run(bench, &paths[i]);
        return r;
}

/* ---- the figures ---- */

static int measure_list(Bench *bench) {
        int r = 0;

        for (size_t i = 0; i < ROUNDS && r >= 0; i++) {
                sd_bus_message *reply = NULL;
                uint64_t start = clock_monotonic_nsec();

                r = sd_bus_call_method(bench->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "ListVms", NULL, &reply, NULL);
                bench->nsec[i] = clock_monotonic_nsec() - start;
                sd_bus_message_unref(reply);
        }
        if (r >= 0)
                print_median("list", bench->nsec, ROUNDS);
        return r;
}

static int scrape(const Bench *bench) {
        static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
        _cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        static char answer[1 << 18];
        size_t total = 0;
        ssize_t n;
        int r;

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", bench->metrics);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        r = fd_write_all(fd, request, strlen(request));
        if (r < 0)
                return r;
        while ((n = read(fd, answer, sizeof(answer))) > 0)
                total += (size_t) n;
        if (n < 0)
                return -errno;
        return total > 1000 ? 0 : -ENODATA;
}

static int measure_sweep(Bench *bench) {
        int r = 0;

        for (size_t i = 0; i < ROUNDS && r >= 0; i++) {
                uint64_t start = clock_monotonic_nsec();

                r = scrape(bench);
                bench->nsec[i] = clock_monotonic_nsec() - start;
        }
        if (r >= 0)
                print_median("sweep", bench->nsec, ROUNDS);
        return r;
}

static int measure_idle(const Bench *bench, unsigned seconds) {
        struct timespec rest = {.tv_sec = (time_t) seconds};
        uint64_t cpu, after, start = clock_monotonic_nsec();
        int r;

        r = read_cpu_nsec(bench, &cpu);
        while (r == 0 && nanosleep(&rest, &rest) < 0 && errno == EINTR)
                ;
        if (r == 0)
                r = read_cpu_nsec(bench, &after);
        if (r == 0)
                (void) printf("cpu %.3f\n", (double) (after - cpu) * 100 /
                                                    (double) (clock_monotonic_nsec() - start));
        (void) fflush(stdout);
        return r;
}

static int await_death(Bench *bench) {
        int r = 0;

        while (r >= 0 && bench->awaited) {
                r = sd_bus_process(bench->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bench->bus, CALL_USEC) == 0 ? -ETIMEDOUT : 0;
        }
        return r < 0 ? r : 0;
}

static int die_once(Bench *bench, const char *path, uint64_t *ret_nsec) {
        _cleanup_(fd_closep) int pidfd = -EBADF;
        uint64_t start;
        uint32_t pid;
        int r;

        r = sd_bus_get_property_trivial(bench->bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE,
                                        "Pid", NULL, 'u', &pid);
        if (r < 0)
                return r;
        pidfd = pidfd_open((pid_t) pid, 0);
        if (pidfd < 0)
                return -errno;
        bench->awaited = path;
        start = clock_monotonic_nsec();
        if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0)
                return -errno;
        r = await_death(bench);
        *ret_nsec = clock_monotonic_nsec() - start;
        return r;
}

static int measure_death(Bench *bench, char **paths, size_t n) {
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = die_once(bench, paths[i], &bench->nsec[i]);
        if (r >= 0)
                print_median("death", bench->nsec, n);
        return r;
}

static int measure_cycle(const Bench *bench) {
        uint64_t start = clock_monotonic_nsec();
        int r = 0;

        for (unsigned i = 0; i < CYCLES && r >= 0; i++) {
                _cleanup_(freep) char *path = NULL;

                r = run(bench, &path);
                if (r >= 0)
                        r = call_vm(bench, path, "Kill");
                if (r >= 0)
                        r = call_vm(bench, path, "Release");
        }
        if (r >= 0)
                (void) printf("cycle %.2f\n",
                              CYCLES * 1e9 / (double) (clock_monotonic_nsec() - start));
        return r;
}

static int measure_memory(const Bench *bench, char **paths, size_t n) {
        uint64_t before, after;
        int r;

        r = run_many(bench, paths, WARM_UP_VMS);
        if (r >= 0)
                r = read_memory_kib(bench, &before);
        if (r >= 0)
                r = run_many(bench, paths + WARM_UP_VMS, n - WARM_UP_VMS);
        if (r >= 0)
                r = read_memory_kib(bench, &after);
        if (r >= 0)
                (void) printf("memory %.2f\n",
                              (double) (after - before) / (double) (n - WARM_UP_VMS));
        (void) fflush(stdout);
        return r;
}

static int measure(Bench *bench, char **paths, size_t n, unsigned idle, size_t deaths) {
        int r;

        r = measure_memory(bench, paths, n);
        if (r >= 0)
                r = measure_idle(bench, idle);
        if (r >= 0)
                r = measure_list(bench);
        if (r >= 0)
                r = measure_sweep(bench);
        if (r >= 0)
                r = measure_death(bench, paths, deaths);
        return r < 0 ? r : measure_cycle(bench);
}

int main(int argc, char **argv) {
        Bench bench = {0};
        uint64_t vms, idle, deaths;
        char **paths = NULL;
        int r;

        if (argc != 6 || parse_u64(argv[3], &vms) < 0 || parse_u64(argv[4], &idle) < 0 ||
            parse_u64(argv[5], &deaths) < 0 || vms <= WARM_UP_VMS || vms > 60000 || idle > 3600 ||
            deaths == 0 || deaths > vms) {
                (void) fprintf(stderr, "usage: %s ADDRESS METRICS-SOCKET VMS IDLE-SECONDS DEATHS\n",
                               argv[0]);
                return EXIT_FAILURE;
        }
        bench.metrics = argv[2];
        bench.nsec = calloc(vms + ROUNDS, sizeof(*bench.nsec));
        paths = calloc(vms, sizeof(*paths));
        r = bench.nsec && paths ? open_bus(&bench, argv[1]) : -ENOMEM;
        if (r >= 0)
                r = measure(&bench, paths, vms, (unsigned) idle, deaths);
        if (r < 0)
                (void) fprintf(stderr, "bench_scale: %s\n", strerror(-r));
        sd_bus_flush_close_unref(bench.bus);
        for (uint64_t i = 0; paths && i < vms; i++)
                free(paths[i]);
        free(paths);
        free(bench.nsec);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
