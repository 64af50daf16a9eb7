/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_flag_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/crosvm_cpu_flags.h"
#include "config/crosvm_device_flags.h"
#include "config/crosvm_directory_flags.h"
#include "config/crosvm_flags.h"
#include "config/crosvm_folder_flags.h"
#include "config/crosvm_vhost_user_flags.h"
#include "config/crosvm_memory_flags.h"
#include "config/crosvm_net_flags.h"
#include "config/crosvm_pmem_flags.h"
#include "config/crosvm_vfio_flags.h"

/** crosvm_flag_emit_consume() - append the option and its @value, owned from now on; NULL is want of memory */
int crosvm_flag_emit_consume(const Flag *flag, char *value, StrVec *argv) {
        _cleanup_(freep) char *owned = value;
        int r;

        r = strvec_addf(argv, "--%s", flag->name);
        return r < 0 ? r : strvec_add_consume(argv, TAKE(owned));
}

static int emit_mem(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r = crosvm_mem_emit(config, &value);

        return r < 0 ? r : crosvm_flag_emit_consume(flag, value, argv);
}

static int emit_init_mem(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        int r;

        if (config->init_memory_bytes == 0)
                return 0;
        r = strvec_addf(argv, "--%s", flag->name);
        return r < 0 ? r
                     : strvec_addf(argv, "%llu",
                                   (unsigned long long) config->init_memory_bytes >> 20);
}

/* Nothing beside --host-cpu-topology, which counts them. */
static int emit_cpus(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r;

        if (config->cpus.host_topology)
                return 0;
        r = crosvm_cpus_emit(config, &value);
        return r < 0 ? r : crosvm_flag_emit_consume(flag, value, argv);
}

static int emit_cpu_affinity(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r;

        r = crosvm_cpu_affinity_emit(&config->cpus, &value);
        return r < 0 || !value ? r : crosvm_flag_emit_consume(flag, value, argv);
}

static int emit_rt_cpus(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r;

        r = crosvm_rt_cpus_emit(&config->cpus, &value);
        return r < 0 || !value ? r : crosvm_flag_emit_consume(flag, value, argv);
}

static int emit_core_scheduling(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        return config->cpus.core_scheduling ? crosvm_flag_emit_consume(flag, strdup("true"), argv)
                                            : 0;
}

static int emit_serials(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_serials; i++) {
                char *value;
                int r = crosvm_serial_emit(&config->serials[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_blocks(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_disks; i++) {
                char *value;
                int r = crosvm_block_emit(&config->disks[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_scsi_blocks(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_scsi_disks; i++) {
                char *value;
                int r = crosvm_scsi_block_emit(&config->scsi_disks[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* crosvm of today has one option for all devices in other processes, and asks the process for the tag. */
static int emit_folders(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        static const Flag vhost_user = {.name = "vhost-user"};

        for (size_t i = 0; i < config->n_folders; i++) {
                const bool told = config->folders[i].tag_told;
                const bool today = config->dialect == VMM_DIALECT_CROSVM || told;
                char *value;
                int r;

                if (told && config->dialect == VMM_DIALECT_CROSVM_2023)
                        return -EOPNOTSUPP;
                r = today ? crosvm_folder_emit_vhost_user(&config->folders[i], &value)
                          : crosvm_folder_emit(&config->folders[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(today ? &vhost_user : flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_vhost_users(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        if (config->n_vhost_users > 0 && config->dialect == VMM_DIALECT_CROSVM_2023)
                return -EOPNOTSUPP;
        for (size_t i = 0; i < config->n_vhost_users; i++) {
                char *value;
                int r = crosvm_vhost_user_emit(&config->vhost_users[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_vhost_user_timeout(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        char *value;
        int r;

        if (config->vhost_user_timeout_ms == 0)
                return 0;
        strbuf_printf(&buf, "%u", config->vhost_user_timeout_ms);
        r = strbuf_finish(&buf, &value);
        return r < 0 ? r : crosvm_flag_emit_consume(flag, value, argv);
}

static int emit_nets(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_nets; i++) {
                char *value;
                int r;

                if (config->nets[i].user && config->dialect != VMM_DIALECT_VIVARIUM)
                        return -EOPNOTSUPP;
                r = crosvm_net_emit(&config->nets[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_pmems(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_pmems; i++) {
                char *value;
                int r;

                if (config->pmems[i].ext2)
                        continue;
                r = crosvm_pmem_emit(&config->pmems[i], &value);
                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_vfios(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_vfios; i++) {
                char *value;
                int r = crosvm_vfio_emit(&config->vfios[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_pmem_ext2s(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_pmems; i++) {
                char *value;
                int r;

                if (!config->pmems[i].ext2)
                        continue;
                r = crosvm_pmem_ext2_emit(&config->pmems[i], &value);
                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_shared_dirs(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_shared_dirs; i++) {
                char *value;
                int r = crosvm_shared_dir_emit(&config->shared_dirs[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_pflash(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r;

        if (!config->pflash.path)
                return 0;
        r = crosvm_pflash_emit(&config->pflash, &value);
        return r < 0 ? r : crosvm_flag_emit_consume(flag, value, argv);
}

static int emit_fw_cfg(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->n_fw_cfg; i++) {
                char *value;
                int r = crosvm_fw_cfg_emit(&config->fw_cfg[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Left out for `auto`, so that a real crosvm can be run with what is emitted. */
static int parse_cpu_features(VmmConfig *config, const char *value, TextError *reterr) {
        return cpu_feature_change_parse(value, &config->cpu_features, reterr);
}

static int emit_cpu_features(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r;

        r = cpu_feature_change_emit(&config->cpu_features, &value);
        return r < 0 || !value ? r : crosvm_flag_emit_consume(flag, value, argv);
}

static int emit_hypervisor(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r;

        if (config->hypervisor == VMM_HYPERVISOR_AUTO)
                return 0;
        if (config->dialect != VMM_DIALECT_VIVARIUM && config->hypervisor != VMM_HYPERVISOR_KVM)
                return -EOPNOTSUPP;
        r = crosvm_hypervisor_emit(config, &value);
        return r < 0 ? r : crosvm_flag_emit_consume(flag, value, argv);
}

static int emit_vsock(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r;

        if (config->vsock_cid == 0)
                return 0;
        if (config->dialect == VMM_DIALECT_CROSVM_2023) {
                r = strvec_add(argv, "--cid");
                if (r == 0)
                        r = strvec_addf(argv, "%u", config->vsock_cid);
                if (r < 0 || !config->vsock_device)
                        return r;
                r = strvec_add(argv, "--vhost-vsock-device");
                return r < 0 ? r : strvec_add(argv, config->vsock_device);
        }
        r = crosvm_vsock_emit(config, &value);
        return r < 0 ? r : crosvm_flag_emit_consume(flag, value, argv);
}

/** crosvm_flag_emit_nothing() - for a second spelling of an option that is emitted elsewhere */
int crosvm_flag_emit_nothing(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        return 0;
}

static int parse_log_level(VmmConfig *config, const char *value, TextError *reterr) {
        LogFilter filter;
        int r;

        r = crosvm_log_filter_parse(value, &filter, reterr);
        if (r < 0)
                return r;
        config->log_level = strdup(value);
        return config->log_level ? 0 : -ENOMEM;
}

static int emit_log_level(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        return config->log_level ? crosvm_flag_emit_consume(flag, strdup(config->log_level), argv)
                                 : 0;
}

/* Lines are whole, one tag each, and bounded, whoever wrote the command line. */
static int parse_syslog_tag(VmmConfig *config, const char *value, TextError *reterr) {
        const size_t len = strlen(value);

        for (size_t i = 0; i < len; i++)
                if ((unsigned char) value[i] < ' ' || value[i] == 0x7f)
                        return text_error_set(reterr, -EINVAL, "a control character is in it");
        if (len < 1 || len > VMM_SYSLOG_TAG_MAX)
                return text_error_set(reterr, -EINVAL, "expected 1 to %u bytes",
                                      VMM_SYSLOG_TAG_MAX);
        config->syslog_tag = strdup(value);
        return config->syslog_tag ? 0 : -ENOMEM;
}

static int emit_syslog_tag(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        return config->syslog_tag ? crosvm_flag_emit_consume(flag, strdup(config->syslog_tag), argv)
                                  : 0;
}

static int emit_executor(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        const char *name = crosvm_executor_to_string(config->executor);

        return name ? crosvm_flag_emit_consume(flag, strdup(name), argv) : 0;
}

#define MEMBER(m) .offset = offsetof(VmmConfig, m)

const Flag crosvm_flags[] = {
        {.name = "extended-status",
         .scope = SCOPE_GLOBAL,
         .group = GROUP_GLOBAL,
         .kind = FLAG_SWITCH,
         MEMBER(extended_status),
         .help = "exit with 32 on reset, 33 on crash, 34 on guest panic, 36 on watchdog"},
        {.name = "log-level",
         .scope = SCOPE_GLOBAL,
         .group = GROUP_GLOBAL,
         .kind = FLAG_CUSTOM,
         .metavar = "FILTER",
         .parse = parse_log_level,
         .emit = emit_log_level,
         .help = "off, error, warn, info (default) or debug; MODULE=LEVEL,..."},
        {.name = "syslog-tag",
         .scope = SCOPE_GLOBAL,
         .group = GROUP_GLOBAL,
         .kind = FLAG_CUSTOM,
         .metavar = "TAG",
         .parse = parse_syslog_tag,
         .emit = emit_syslog_tag,
         .help = "what lines of the log begin with (default vivarium-vmm)"},

        {.name = "name",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_STRING,
         .metavar = "NAME",
         MEMBER(name),
         .omitted_in = 1u << VMM_DIALECT_CROSVM_2023,
         .help = "name of the VM, in logs and in the process list"},
        {.name = "disable-sandbox",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_SWITCH,
         MEMBER(disable_sandbox),
         .help = "keep the rights, files and system calls of whoever runs it"},
        {.name = "pivot-root",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_STRING,
         .metavar = "PATH",
         MEMBER(pivot_root),
         .help = "empty directory that the sandbox has for its root"},
        {.name = "seccomp-log-failures",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_SWITCH,
         MEMBER(seccomp_log_failures),
         .help = "system calls that the sandbox forbids are logged, and done"},
        {.name = "no-balloon",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_SWITCH,
         MEMBER(no_balloon),
         .help = "no memory balloon"},
        {.name = "hugepages",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_SWITCH,
         MEMBER(hugepages),
         .help = "guest memory in transparent huge pages, where the host has them"},
        {.name = "lock-guest-memory",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_SWITCH,
         MEMBER(lock_guest_memory),
         .help = "no guest memory goes to the host's swap"},
        {.name = "swap",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_STRING,
         .metavar = "DIRECTORY",
         MEMBER(swap),
         .help = "guest memory can be moved to an unnamed file there"},
        {.name = "unmap-guest-memory-on-fork",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_SWITCH,
         MEMBER(unmap_guest_memory_on_fork),
         .help = "processes that the VMM makes do not map guest memory"},
        {.name = "boost-uclamp",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_SWITCH,
         MEMBER(boost_uclamp),
         .help = "vCPU threads run as if they were fully busy"},
        {.name = "balloon-page-reporting",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_SWITCH,
         MEMBER(balloon_page_reporting),
         .help = "memory that the guest has free goes back to the host"},
        {.name = "balloon-control",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_STRING,
         .metavar = "PATH",
         MEMBER(balloon_control),
         .help = "socket of the process that sizes the balloon, in place of --socket"},
        {.name = "init-mem",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_CUSTOM,
         .metavar = "MIB",
         .parse = crosvm_init_mem_parse,
         .emit = emit_init_mem,
         .help = "memory to start with; the balloon has the rest"},
        {.name = "no-usb",
         .scope = SCOPE_RUN,
         .group = GROUP_ACCEPTED,
         .kind = FLAG_SWITCH,
         MEMBER(no_usb),
         .help = "no USB controller; this version has none"},
        {.name = "socket",
         .letter = 's',
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_STRING,
         .metavar = "PATH",
         MEMBER(socket),
         .help = "control socket: a new path, a directory, /proc/self/fd/N"},
        {.name = "gdb",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_STRING,
         .metavar = "PORT|PATH",
         MEMBER(gdb),
         .help = "wait for gdb at this TCP port of localhost or Unix socket"},
        {.name = "restore",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_STRING,
         .metavar = "PATH",
         MEMBER(restore),
         .help = "go on from a snapshot of a VM with the same options"},
        {.name = "suspended",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_SWITCH,
         MEMBER(suspended),
         .help = "do not run the guest before `resume --full`"},
        {.name = "no-rng",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_SWITCH,
         MEMBER(no_rng),
         .help = "no virtio entropy source"},
        {.name = "mem",
         .letter = 'm',
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_CUSTOM,
         .metavar = "MIB",
         .parse = crosvm_mem_parse,
         .emit = emit_mem,
         .help = "guest memory in MiB (default 256); keys below"},
        {.name = "cpus",
         .letter = 'c',
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_CUSTOM,
         .metavar = "N",
         .parse = crosvm_cpus_parse,
         .emit = emit_cpus,
         .help = "number of virtual CPUs, also num-cores=N (default 1)"},
        {.name = "cpu-cluster",
         .scope = SCOPE_RUN,
         .group = GROUP_CPUS,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_cpu_cluster_parse,
         .emit = crosvm_flag_emit_nothing,
         .help = "vCPUs that share a level 2 cache"},
        {.name = "no-smt",
         .scope = SCOPE_RUN,
         .group = GROUP_CPUS,
         .kind = FLAG_SWITCH,
         MEMBER(cpus.no_smt),
         .help = "one thread a core, also when the number of vCPUs is even"},
        {.name = "host-cpu-topology",
         .scope = SCOPE_RUN,
         .group = GROUP_CPUS,
         .kind = FLAG_SWITCH,
         MEMBER(cpus.host_topology),
         .help = "as many vCPUs, cores and threads as the host has"},
        {.name = "cpu-affinity",
         .scope = SCOPE_RUN,
         .group = GROUP_CPUS,
         .kind = FLAG_CUSTOM,
         .metavar = "LIST",
         .parse = crosvm_cpu_affinity_parse,
         .emit = emit_cpu_affinity,
         .help = "host processors: 0,2-3 for all vCPUs, 0=0:1=2,3 each"},
        {.name = "rt-cpus",
         .scope = SCOPE_RUN,
         .group = GROUP_CPUS,
         .kind = FLAG_CUSTOM,
         .metavar = "LIST",
         .parse = crosvm_rt_cpus_parse,
         .emit = emit_rt_cpus,
         .help = "vCPUs that go before the host's other threads"},
        {.name = "delay-rt",
         .scope = SCOPE_RUN,
         .group = GROUP_CPUS,
         .kind = FLAG_SWITCH,
         MEMBER(cpus.delay_realtime),
         .help = "they do so when `make_rt` says so, not from the start"},
        {.name = "core-scheduling",
         .scope = SCOPE_RUN,
         .group = GROUP_CPUS,
         .kind = FLAG_CUSTOM,
         .metavar = "BOOL",
         .parse = crosvm_core_scheduling_parse,
         .emit = emit_core_scheduling,
         .help = "no vCPU shares a core of the host with another thread"},
        {.name = "per-vm-core-scheduling",
         .scope = SCOPE_RUN,
         .group = GROUP_CPUS,
         .kind = FLAG_SWITCH,
         MEMBER(cpus.vm_core_scheduling),
         .help = "no vCPU shares a core of the host with a thread of others"},
        {.name = "vcpu-cgroup-path",
         .scope = SCOPE_RUN,
         .group = GROUP_CPUS,
         .kind = FLAG_STRING,
         .metavar = "PATH",
         MEMBER(cpus.cgroup_path),
         .help = "directory of the control group that vCPU threads join"},
        {.name = "serial",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_serial_parse,
         .emit = emit_serials,
         .help = "a serial port or virtio console; keys below"},
        {.name = "initrd",
         .letter = 'i',
         .scope = SCOPE_RUN,
         .group = GROUP_BOOT,
         .kind = FLAG_STRING,
         .metavar = "PATH",
         MEMBER(initrd),
         .help = "initial RAM disk handed to the kernel"},
        {.name = "bios",
         .scope = SCOPE_RUN,
         .group = GROUP_BOOT,
         .kind = FLAG_STRING,
         .metavar = "PATH",
         MEMBER(bios),
         .help = "firmware, such as SeaBIOS or OVMF; KERNEL is then its to load"},
        {.name = "pflash",
         .scope = SCOPE_RUN,
         .group = GROUP_BOOT,
         .kind = FLAG_CUSTOM,
         .metavar = "LIST",
         .parse = crosvm_pflash_parse,
         .emit = emit_pflash,
         .help = "flash with firmware variables: PATH,block-size=BYTES"},
        {.name = "fw-cfg",
         .scope = SCOPE_RUN,
         .group = GROUP_BOOT,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_fw_cfg_parse,
         .emit = emit_fw_cfg,
         .help = "file for firmware: name=NAME and path=PATH or string=TEXT"},
        {.name = "enable-fw-cfg",
         .scope = SCOPE_RUN,
         .group = GROUP_BOOT,
         .kind = FLAG_SWITCH,
         MEMBER(enable_fw_cfg),
         .help = "firmware configuration device also without firmware"},
        {.name = "params",
         .letter = 'p',
         .scope = SCOPE_RUN,
         .group = GROUP_BOOT,
         .kind = FLAG_STRINGS,
         .repeatable = true,
         .metavar = "STRING",
         MEMBER(params),
         .help = "kernel command line; several are joined by spaces"},
        {.name = "oem-strings",
         .scope = SCOPE_RUN,
         .group = GROUP_BOOT,
         .kind = FLAG_STRINGS,
         .repeatable = true,
         .metavar = "STRING",
         MEMBER(oem_strings),
         .help = "SMBIOS OEM string, such as a systemd credential"},
        {.name = "block",
         .letter = 'b',
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_block_parse,
         .emit = emit_blocks,
         .help = "a virtio disk; keys below"},
        {.name = "scsi-block",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_scsi_block_parse,
         .emit = emit_scsi_blocks,
         .help = "a disk of the SCSI controller; keys below"},
        {.name = "pmem",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_pmem_parse,
         .emit = emit_pmems,
         .help = "persistent memory, of a file or of the host; keys below"},
        {.name = "pmem-device",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "PATH",
         .parse = crosvm_pmem_device_parse,
         .emit = crosvm_flag_emit_nothing,
         .help = "the same, read-only"},
        {.name = "rw-pmem-device",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "PATH",
         .parse = crosvm_rw_pmem_device_parse,
         .emit = crosvm_flag_emit_nothing,
         .help = "the same, writable"},
        {.name = "pmem-ext2",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_pmem_ext2_parse,
         .emit = emit_pmem_ext2s,
         .help = "a copy of a directory as persistent memory; keys below"},
        {.name = "vfio",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_vfio_parse,
         .emit = emit_vfios,
         .help = "a PCI function of the host: PATH[,guest-address=00:DD.0]"},
        {.name = "async-executor",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .metavar = "WHICH",
         .parse = crosvm_executor_parse,
         .emit = emit_executor,
         .help = "uring or epoll (threads) for all files; default: uring if there is any"},
        {.name = "net",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_net_parse,
         .emit = emit_nets,
         .help = "a virtio network card; keys below"},
        {.name = "vhost-user",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_vhost_user_parse,
         .emit = emit_vhost_users,
         .help = "a device served by another process; keys below"},
        {.name = "vhost-user-connect-timeout-ms",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .metavar = "N",
         .parse = crosvm_vhost_user_timeout_parse,
         .emit = emit_vhost_user_timeout,
         .help = "wait so long for each such process to listen; default: not"},
        {.name = "vhost-user-fs",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_folder_parse,
         .emit = emit_folders,
         .help = "a folder served by virtiofsd; keys below"},
        {.name = "shared-dir",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_shared_dir_parse,
         .emit = emit_shared_dirs,
         .help = "a folder, with a virtiofsd of its own; keys below"},
        {.name = "vsock",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .metavar = "LIST",
         .parse = crosvm_vsock_parse,
         .emit = emit_vsock,
         .help = "sockets between guest and host; keys below"},
        {.name = "cid",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .metavar = "N",
         .parse = crosvm_cid_parse,
         .emit = crosvm_flag_emit_nothing,
         .help = "--vsock with the context id alone"},
        {.name = "vhost-vsock-device",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .metavar = "PATH",
         .parse = crosvm_vhost_vsock_device_parse,
         .emit = crosvm_flag_emit_nothing,
         .help = "--vsock's device=, with --cid"},
        {.name = "vhost-vsock-fd",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_CUSTOM,
         .metavar = "FD",
         .parse = crosvm_vhost_vsock_fd_parse,
         .emit = crosvm_flag_emit_nothing,
         .help = "the same device as an inherited descriptor"},
        {.name = "hypervisor",
         .scope = SCOPE_RUN,
         .group = GROUP_OURS,
         .shared = true,
         .kind = FLAG_CUSTOM,
         .metavar = "WHICH",
         .parse = crosvm_hypervisor_parse,
         .emit = emit_hypervisor,
         .help = "auto (default), kvm, kvm[device=PATH] or soft"},
        {.name = "cpu-features",
         .scope = SCOPE_RUN,
         .group = GROUP_OURS,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = parse_cpu_features,
         .emit = emit_cpu_features,
         .help = "+NAME,-NAME: show or hide processor features"},
        {.name = "ramdump",
         .scope = SCOPE_RUN,
         .group = GROUP_OURS,
         .kind = FLAG_STRING,
         .metavar = "PATH",
         MEMBER(ramdump),
         .help = "when the guest panics, write an ELF core to PATH"},
        {.name = "vfio-hotplug",
         .scope = SCOPE_RUN,
         .group = GROUP_OURS,
         .kind = FLAG_SWITCH,
         MEMBER(vfio_hotplug),
         .help = "PCI functions of the host may be plugged in: `vfio add`"},
        {.name = "test-device",
         .scope = SCOPE_RUN,
         .group = GROUP_OURS,
         .kind = FLAG_SWITCH,
         MEMBER(test_device),
         .help = "exit port 0xf4 and what else processor test programs use"},
};

const size_t crosvm_n_flags = ELEMENTSOF(crosvm_flags);

/** crosvm_flag_at() - option @i of all tables, 0 to CROSVM_FLAGS_MAX - 1; NULL behind the last */
const Flag *crosvm_flag_at(size_t i) {
        const struct {
                const Flag *flags;
                size_t n;
        } tables[] = {
                {crosvm_flags, crosvm_n_flags},
                {crosvm_board_flags, crosvm_n_board_flags},
                {crosvm_old_flags, crosvm_n_old_flags},
        };

        assert(crosvm_n_flags + crosvm_n_board_flags + crosvm_n_old_flags <= CROSVM_FLAGS_MAX);
        for (size_t t = 0; t < ELEMENTSOF(tables); i -= tables[t++].n)
                if (i < tables[t].n)
                        return &tables[t].flags[i];
        return NULL;
}
