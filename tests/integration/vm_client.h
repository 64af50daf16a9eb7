/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a client of the daemon does, with assertions. */

#include "tests/integration/bus_host.h"

#include <stdbool.h>

/* What CreateVm is given; zero-initialised is a VM with a kernel and nothing else. */
typedef struct VmSpec {
        const char *params; /* kernel parameters: orders to the fake VMM */
        const char *config; /* whole JSON instead; its kernel is "fd:kernel" */
        const char *name;   /* option */
        const char *hypervisor;
        bool detach;
        uint64_t boot_timeout_usec;   /* option if above 0 */
        int console, console_in, log; /* options if above 0 */
} VmSpec;

/* A death record, as a client reads it. */
typedef struct Record {
        char reason[80], message[256], text[256], info[256], by[16], step[16], system_call[40];
        int32_t code, exit_status, exit_signal; /* -1 where it is absent */
        uint64_t failure_bytes, run_time_usec, rss_peak, rss_guest_peak, rss_vmm_peak;
        uint32_t by_uid, by_pid;
        char console[4200], err[4200]; /* terminated */
        size_t console_len, err_len;
} Record;

sd_bus_message *vm_new_create_call(sd_bus *bus, const VmSpec *spec);
int vm_try_create(sd_bus *bus, const VmSpec *spec, char **ret_path, sd_bus_error *error);
char *vm_create(sd_bus *bus, const VmSpec *spec);
int vm_call(sd_bus *bus, const char *path, const char *method, sd_bus_error *error);
void vm_call_ok(sd_bus *bus, const char *path, const char *method);
void vm_call_fails(sd_bus *bus, const char *path, const char *method, const char *error_name);
char *vm_get_string(sd_bus *bus, const char *path, const char *property);
uint64_t vm_get_number(sd_bus *bus, const char *path, const char *property);
uint32_t manager_vm_count(sd_bus *bus);
void record_read(sd_bus_message *message, Record *ret);
void vm_wait_death(BusHost *host, const char *path, Record *ret);

/* What a process holds, to be compared before and after. */
typedef struct Holdings {
        size_t fds, children, files;
        uint64_t rss_bytes;
} Holdings;

Holdings daemon_holdings(const BusHost *host);
void assert_same_holdings(const Holdings *before, const Holdings *after);
