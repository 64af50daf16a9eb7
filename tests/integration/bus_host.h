/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A private bus with the real daemon on it, for one test: made before it, gone after it. Failures of the set-up fail
 * the test.
 */

#include <systemd/sd-bus.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/integration/notify_host.h"

#define HOST_TIMEOUT_USEC ((uint64_t) 120 * 1000 * 1000)
#define HOST_SIGNALS_MAX 65536u

/* A signal that arrived, for later inspection. */
typedef struct HostSignal {
        char member[32];
        sd_bus_message *message; /* owned */
} HostSignal;

typedef struct BusHost {
        char dir[40]; /* temporary; holds the sockets of bus and journal, and the runtime directory */
        char address[72]; /* of the bus */
        char runtime[56]; /* --runtime-dir */
        pid_t bus_pid, daemon_pid;
        NotifyHost *store; /* owned; NULL unless the daemon has a descriptor store */
        sd_bus *bus;       /* owned; the client */
        HostSignal signals[HOST_SIGNALS_MAX]; /* touched as far as they are used */
        size_t n_signals;
} BusHost;

/* cmocka set-up and tear-down; *state is the BusHost. The plain one uses the fake VMM and default limits. */
int bus_host_setup(void **state);
int bus_host_teardown(void **state);
int bus_host_setup_with_store(void **state);
int bus_host_setup_with(void **state, const char *const *more_arguments);

/* Users of every Debian, because a bus takes only those that it finds: daemon and bin. */
#define ALICE 1u
#define BOB 2u

void bus_host_connect(const BusHost *host, sd_bus **ret);
sd_bus *bus_host_connect_as(const BusHost *host, uid_t uid);
void bus_host_drain(BusHost *host);
void bus_host_kill_daemon(BusHost *host);
void bus_host_restart_daemon(BusHost *host);
bool bus_host_try_restart_daemon(BusHost *host);
int bus_host_stop_daemon(BusHost *host, int signo);
void bus_host_forget_signals(BusHost *host);
sd_bus_message *bus_host_wait_signal(BusHost *host, const char *member, const char *path);
size_t bus_host_count_signals(BusHost *host, const char *member, const char *path);
void bus_host_settle(BusHost *host);

const char *host_program(const char *name, char *buf, size_t size);
