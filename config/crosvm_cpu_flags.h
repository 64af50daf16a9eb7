/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The options about processors, for the flag table. */

#include "config/vmm_config.h"

int crosvm_cpus_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_cpus_emit(const VmmConfig *config, char **ret);
int crosvm_cpu_cluster_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_cpu_affinity_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_cpu_affinity_emit(const VmmCpus *cpus, char **ret);
int crosvm_rt_cpus_parse(VmmConfig *config, const char *value, TextError *reterr);
int crosvm_rt_cpus_emit(const VmmCpus *cpus, char **ret);
int crosvm_core_scheduling_parse(VmmConfig *config, const char *value, TextError *reterr);
