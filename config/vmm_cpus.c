/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vmm_cpus.h"

#include <errno.h>
#include <stdlib.h>

#include "config/vm_config.h"

/** vmm_cpus_deinit() - release what @cpus owns */
void vmm_cpus_deinit(VmmCpus *cpus) {
        free(cpus->clusters);
        free(cpus->vcpu_affinity);
        free(cpus->cgroup_path);
        *cpus = (VmmCpus){0};
}

/** vmm_cpus_threads_per_core() - 1 or 2: crosvm gives a core two threads when the number of vCPUs is even */
unsigned vmm_cpus_threads_per_core(const VmmCpus *cpus, unsigned n_vcpus) {
        if (cpus->no_smt || n_vcpus % 2 != 0)
                return 1;
        return cpus->threads_per_core != 0 ? cpus->threads_per_core : 2;
}

/** vmm_cpus_cluster_size() - vCPUs in a cluster; 0: there are none */
unsigned vmm_cpus_cluster_size(const VmmCpus *cpus) {
        return cpus->n_clusters > 0 ? cpu_set_count(&cpus->clusters[0]) : 0;
}

/* CPUID tells a cluster by the bits of the APIC id, which is the vCPU's number. */
static int check_clusters(const VmmCpus *cpus, unsigned n_vcpus, TextError *reterr) {
        const unsigned size = vmm_cpus_cluster_size(cpus);

        if (size == 0)
                return 0;
        if ((size & (size - 1)) != 0 || size * cpus->n_clusters != n_vcpus)
                return text_error_set(reterr, -EINVAL,
                                      "--cpus: clusters: an x86 processor has clusters of one "
                                      "size, a power of two, and every vCPU is in one");
        for (unsigned i = 0; i < cpus->n_clusters; i++)
                for (unsigned cpu = i * size; cpu < (i + 1) * size; cpu++)
                        if (cpu_set_count(&cpus->clusters[i]) != size ||
                            !cpu_set_has(&cpus->clusters[i], cpu))
                                return text_error_set(
                                        reterr, -EINVAL,
                                        "--cpus: clusters: cluster %u of an x86 processor is "
                                        "vCPUs %u to %u",
                                        i, i * size, (i + 1) * size - 1);
        if (size < vmm_cpus_threads_per_core(cpus, n_vcpus))
                return text_error_set(reterr, -EINVAL,
                                      "--cpus: clusters: a cluster has whole cores; see --no-smt");
        return 0;
}

static int check_affinity(const VmmCpus *cpus, unsigned n_vcpus, TextError *reterr) {
        for (unsigned i = n_vcpus; cpus->vcpu_affinity && i < VM_VCPUS_MAX; i++)
                if (cpu_set_count(&cpus->vcpu_affinity[i]) > 0)
                        return text_error_set(reterr, -EINVAL,
                                              "--cpu-affinity: there is no vCPU %u", i);
        return 0;
}

/**
 * vmm_cpus_validate() - whether the options fit together and the number of vCPUs
 *
 * Return: 0; -EINVAL with a sentence.
 */
int vmm_cpus_validate(const VmmCpus *cpus, unsigned n_vcpus, TextError *reterr) {
        unsigned cpu = cpu_set_next(&cpus->realtime, n_vcpus);
        int r;

        if (cpus->host_topology && (cpus->n_clusters > 0 || cpus->vcpu_affinity || cpus->no_smt ||
                                    cpu_set_count(&cpus->affinity) > 0 || n_vcpus != 1))
                return text_error_set(reterr, -EINVAL,
                                      "--host-cpu-topology: excludes --cpus, --cpu-affinity, "
                                      "--cpu-cluster and --no-smt, which it decides");
        if (cpus->core_scheduling && cpus->vm_core_scheduling)
                return text_error_set(
                        reterr, -EINVAL,
                        "--core-scheduling and --per-vm-core-scheduling exclude each other");
        if (!cpus->host_topology && cpu < CPU_SET_MAX)
                return text_error_set(reterr, -EINVAL, "--rt-cpus: there is no vCPU %u", cpu);
        r = check_clusters(cpus, n_vcpus, reterr);
        return r < 0 ? r : check_affinity(cpus, n_vcpus, reterr);
}
