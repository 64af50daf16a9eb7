/* SPDX-License-Identifier: Apache-2.0 */

/* Where the threads of vCPUs run on the host, and before whom. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "config/vm_config.h"
#include "vmm/machine/machine_internal.h"

#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62 /* Linux 5.14 */
#define PR_SCHED_CORE_CREATE 1
#endif
#define CORE_SCOPE_THREAD 0

#define REALTIME_PRIORITY 6 /* crosvm's */

_Static_assert(CPU_SET_MAX == CPU_SETSIZE, "a CpuSet fits a cpu_set_t");

/* Which of the host's processors are threads of @cpu's core; itself where the host does not tell. */
static void read_siblings(unsigned cpu, CpuSet *ret) {
        char path[96], text[256];
        ssize_t n = -1;
        int fd;

        *ret = (CpuSet){0};
        cpu_set_put(ret, cpu);
        (void) snprintf(path, sizeof(path),
                        "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        n = read(fd, text, sizeof(text) - 1);
        (void) close(fd);
        if (n <= 0)
                return;
        text[n] = 0;
        text[strcspn(text, "\n")] = 0;
        (void) cpu_set_parse(text, ret, NULL);
}

/**
 * machine_copy_host_topology() - with --host-cpu-topology, say in @config what the host has
 *
 * A vCPU for each processor that the VMM may run on, bound to it. Threads of one core follow one another, as vCPUs of
 * a core do. Where cores differ in their number of threads, guests see one thread a core.
 *
 * Return: 0; -E2BIG for more processors than a VM has; other negative errno.
 */
int machine_copy_host_topology(VmmConfig *config, TextError *reterr) {
        unsigned n = 0, n_cores = 0;
        CpuSet placed = {0};
        cpu_set_t allowed;

        if (!config->cpus.host_topology)
                return 0;
        if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
                return -errno;
        if (CPU_COUNT(&allowed) > (int) VM_VCPUS_MAX)
                return text_error_set(reterr, -E2BIG,
                                      "--host-cpu-topology: the host has %d processors, a VM at "
                                      "most %u",
                                      CPU_COUNT(&allowed), VM_VCPUS_MAX);
        config->cpus.vcpu_affinity = calloc(VM_VCPUS_MAX, sizeof(CpuSet));
        if (!config->cpus.vcpu_affinity)
                return -ENOMEM;
        for (unsigned cpu = 0; cpu < CPU_SET_MAX; cpu++) {
                CpuSet siblings;

                if (!CPU_ISSET(cpu, &allowed) || cpu_set_has(&placed, cpu))
                        continue;
                read_siblings(cpu, &siblings);
                n_cores++;
                for (unsigned i = cpu; i < CPU_SET_MAX; i = cpu_set_next(&siblings, i + 1)) {
                        if (!CPU_ISSET(i, &allowed) || cpu_set_has(&placed, i))
                                continue;
                        cpu_set_put(&placed, i);
                        cpu_set_put(&config->cpus.vcpu_affinity[n++], i);
                }
        }
        config->n_vcpus = n;
        config->cpus.threads_per_core = n == 2 * n_cores ? 2 : 1;
        return 0;
}

/* The threads ask for it when the sandbox has taken the capability that would do; a limit lasts. */
static void allow_realtime(void) {
        const struct rlimit limit = {.rlim_cur = REALTIME_PRIORITY, .rlim_max = REALTIME_PRIORITY};

        (void) setrlimit(RLIMIT_RTPRIO, &limit);
}

static int open_cgroup(const char *path, int *ret_fd) {
        static const char *const names[] = {"cgroup.threads", "tasks"}; /* of version 2 and 1 */
        _cleanup_(fd_closep) int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (dir < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                *ret_fd = openat(dir, names[i], O_WRONLY | O_CLOEXEC);
                if (*ret_fd >= 0 || errno != ENOENT)
                        break;
        }
        return *ret_fd < 0 ? -errno : 0;
}

/**
 * machine_init_placement() - note what @config wants of the threads of vCPUs
 *
 * Return: 0 or negative errno with a sentence; machine_deinit_placement() in either case.
 */
int machine_init_placement(MachinePlacement *placement, const VmmConfig *config,
                           TextError *reterr) {
        const VmmCpus *cpus = &config->cpus;
        int r;

        *placement = (MachinePlacement){
                .cgroup_fd = -EBADF,
                .realtime = cpus->realtime,
                .delay_realtime = cpus->delay_realtime,
                .core_scheduling = cpus->core_scheduling,
                .vm_core_scheduling = cpus->vm_core_scheduling,
                .boost_uclamp = config->boost_uclamp,
        };
        placement->affinity = calloc(config->n_vcpus, sizeof(CpuSet));
        if (!placement->affinity)
                return -ENOMEM;
        for (unsigned i = 0; i < config->n_vcpus; i++)
                placement->affinity[i] =
                        cpus->vcpu_affinity ? cpus->vcpu_affinity[i] : cpus->affinity;
        if (cpu_set_count(&cpus->realtime) > 0)
                allow_realtime();
        if (!cpus->cgroup_path)
                return 0;
        r = open_cgroup(cpus->cgroup_path, &placement->cgroup_fd);
        return r < 0 ? text_error_set(reterr, r, "--vcpu-cgroup-path: %s: %s", cpus->cgroup_path,
                                      strerror(-r))
                     : 0;
}

/** machine_deinit_placement() - release what machine_init_placement() made */
void machine_deinit_placement(MachinePlacement *placement) {
        free(placement->affinity);
        (void) fd_close(placement->cgroup_fd);
        *placement = (MachinePlacement){.cgroup_fd = -EBADF};
}

static int join_cgroup(int fd) {
        return write(fd, "0", 1) < 0 ? -errno : 0;
}

static int set_affinity(const CpuSet *cpus) {
        cpu_set_t set;

        CPU_ZERO(&set);
        for (unsigned i = cpu_set_next(cpus, 0); i < CPU_SET_MAX; i = cpu_set_next(cpus, i + 1))
                CPU_SET(i, &set);
        return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

/* @tid: 0 is the calling thread. */
static int set_realtime(pid_t tid) {
        const struct sched_param param = {.sched_priority = REALTIME_PRIORITY};

        return sched_setscheduler(tid, SCHED_RR, &param) < 0 ? -errno : 0;
}

static int isolate_core(void) {
        return prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, CORE_SCOPE_THREAD, 0) < 0 ? -errno : 0;
}

/**
 * machine_place_threads() - what holds for all threads that the calling one is going to make
 * @ret_option: the option that failed
 *
 * Return: 0 or negative errno.
 */
int machine_place_threads(const MachinePlacement *placement, const char **ret_option) {
        *ret_option = "--per-vm-core-scheduling";
        return placement->vm_core_scheduling ? isolate_core() : 0;
}

/**
 * machine_place_vcpu() - put the calling thread, that of vCPU @index, where the options say
 * @ret_option: the option that failed
 *
 * Return: 0 or negative errno.
 */
int machine_place_vcpu(const MachinePlacement *placement, unsigned index, const char **ret_option) {
        int r = 0;

        *ret_option = "--vcpu-cgroup-path";
        if (placement->cgroup_fd >= 0)
                r = join_cgroup(placement->cgroup_fd);
        if (r < 0)
                return r;
        *ret_option = "--cpu-affinity";
        if (cpu_set_count(&placement->affinity[index]) > 0)
                r = set_affinity(&placement->affinity[index]);
        if (r < 0)
                return r;
        *ret_option = "--core-scheduling";
        if (placement->core_scheduling)
                r = isolate_core();
        if (r < 0)
                return r;
        *ret_option = "--boost-uclamp";
        if (placement->boost_uclamp)
                r = machine_boost_thread();
        if (r < 0)
                return r;
        *ret_option = "--rt-cpus";
        return cpu_set_has(&placement->realtime, index) && !placement->delay_realtime
                       ? set_realtime(0)
                       : 0;
}

static void on_make_realtime(void *userdata, ControlCall *call) {
        const Machine *machine = userdata;
        const MachinePlacement *placement = &machine->placement;

        for (unsigned i = 0; placement->delay_realtime && i < machine->n_vcpus; i++) {
                int r = cpu_set_has(&placement->realtime, i) ? set_realtime(machine->vcpus[i].tid)
                                                             : 0;

                if (r < 0) {
                        control_call_fail(call, "vCPU %u: %s", i, strerror(-r));
                        return;
                }
        }
        control_call_ok(call);
}

/** machine_handle_placement_request() - serve MakeRT */
void machine_handle_placement_request(Machine *machine) {
        control_server_handle(machine->control, CONTROL_MAKE_RT, on_make_realtime, machine);
}
