/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a client asks for in CreateVm: the JSON object of vm-config(5), typed. A file is the name of a descriptor
 * passed beside it ("fd:NAME"); here only NAME is kept.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/text_error.h"
#include "config/mac.h"

#define VM_NAME_MAX 64u
#define VM_CONFIG_JSON_MAX (256u * 1024u)
#define VM_DISKS_MAX 24u
#define VM_PARTITIONS_MAX 128u
#define VM_VCPUS_MAX 254u
#define VM_MEMORY_MIB_MIN 16u
#define VM_MEMORY_MIB_MAX (8u * 1024u * 1024u)
#define VM_MEMORY_MIB_DEFAULT 256u
#define VM_FD_NAME_MAX 64u
#define VM_LABEL_UNITS_MAX 36u
#define VM_LIMIT_MEMORY_MIB_MIN 32u
#define VM_LIMIT_MEMORY_MIB_MAX (16u * 1024u * 1024u)
#define VM_LIMIT_WEIGHT_MAX 10000u
#define VM_LIMIT_CPU_PERCENT_MAX 100000u
#define VM_LIMIT_TASKS_MIN 8u
#define VM_LIMIT_TASKS_MAX 65536u
#define VM_PLATFORM_VERSION "1.0.0"
#define VM_NETWORKS_MAX 8u
#define VM_NETWORK_NAME_MAX 11u /* an interface's name less "viv-" */
#define VM_NETWORK_NAME_DEFAULT "default"
#define VM_NETWORK_QUEUES_MAX 16u
#define VM_FORWARDS_MAX 32u
#define VM_SHARES_MAX 8u
#define VM_DEVICES_MAX 8u
#define VM_DEVICE_PATH_MAX 255u
#define VM_SHARE_TAG_MAX 36u
#define VM_PARAMS_MAX 2047u /* COMMAND_LINE_SIZE of x86 Linux less its terminator */

typedef struct VmPartition {
        char *label; /* owned; 1..36 UTF-16 units as GPT stores it */
        char *file;  /* owned; fd name */
        bool writable;
        bool has_guid;
        uint8_t guid[16]; /* as written, big-endian text order */
} VmPartition;

typedef struct VmDisk {
        char *image;             /* owned; fd name; NULL if made of partitions */
        VmPartition *partitions; /* owned array */
        size_t n_partitions;
        bool writable;
} VmDisk;

typedef enum VmNetworkType {
        VM_NETWORK_ANY, /* a bridge where the service may have interfaces, else the user's sockets */
        VM_NETWORK_BRIDGE, /* a TAP interface in a bridge of the service */
        VM_NETWORK_USER,   /* sockets that a helper process of the VMM opens */
} VmNetworkType;

/* One network card. */
typedef struct VmNetwork {
        VmNetworkType type;
        char *name;   /* owned, optional; the service's network, VM_NETWORK_NAME_DEFAULT if NULL */
        bool has_mac; /* or it is made from the VM's name */
        uint8_t mac[MAC_LEN];
        unsigned queues; /* pairs of a receive and a transmit queue; of a bridge; default 1 */
        bool isolated;   /* no frames to other isolated cards of the network; of a bridge */
        StrVec forwards; /* ports of the host, "tcp:HOST:GUEST"; of the user type */
} VmNetwork;

/* A directory of the host. Exactly one of @path and @socket is set. */
typedef struct VmShare {
        char *tag;  /* owned; what the guest mounts it by, 1..VM_SHARE_TAG_MAX bytes */
        char *path; /* owned; fd name of a directory, which the service has served */
        char *socket; /* owned; fd name of a connected vhost-user socket, whose server is the client's */
        uint32_t guest_uid, guest_gid; /* the guest's numbers for the owner of the VM; of @path */
} VmShare;

typedef enum VmCpuTopology {
        VM_CPUS_COUNT,      /* @n_vcpus says how many */
        VM_CPUS_MATCH_HOST, /* one per CPU the VMM may use */
} VmCpuTopology;

typedef enum VmConsoleInput {
        VM_CONSOLE_INPUT_HVC0,
        VM_CONSOLE_INPUT_TTYS0,
} VmConsoleInput;

typedef enum VmDebugLevel {
        VM_DEBUG_NONE,
        VM_DEBUG_FULL,
} VmDebugLevel;

/* What the host holds the VM's processes to, guest memory included; 0 where the host's default stays. */
typedef struct VmLimits {
        uint64_t memory_max_mib, memory_high_mib;
        uint64_t cpu_weight;        /* 1 to VM_LIMIT_WEIGHT_MAX; 100 is everybody's */
        uint64_t cpu_quota_percent; /* of one CPU */
        uint64_t io_weight;         /* as cpu_weight */
        uint64_t tasks_max;         /* threads */
} VmLimits;

/* Members that are parsed but that this version cannot honour are refused by validation, by name. */
typedef struct VmConfig {
        char *name;                         /* owned, optional */
        char *kernel, *initrd, *bootloader; /* owned; fd names; NULL if absent */
        char *params;                       /* owned, optional */
        VmDisk *disks;                      /* owned array */
        size_t n_disks;
        VmNetwork *networks; /* owned array */
        size_t n_networks;
        VmShare *shares; /* owned array */
        size_t n_shares;
        StrVec devices; /* functions of the host, by their paths below sysfs */
        uint64_t memory_mib;
        VmCpuTopology cpu_topology;
        unsigned n_vcpus;       /* for VM_CPUS_COUNT */
        char *platform_version; /* owned; SemVer requirement, "~1.0" if absent */
        VmConsoleInput console_input;
        VmDebugLevel debug_level;
        unsigned gdb_port;        /* above 0: with a stub for a debugger */
        bool balloon;             /* default true */
        bool auto_memory_balloon; /* the service sets it by the host's memory pressure */
        bool vhost_vsock; /* "vsock": "vhost": AF_VSOCK of the host's kernel, not sockets of the VMM */
        bool detect_hangup; /* end the VM when its payload does not start in time */
        bool ramdump;       /* keep the guest's memory when its kernel panics */
        VmLimits limits;
} VmConfig;

void vm_config_init(VmConfig *config);
void vm_config_deinit(VmConfig *config);

bool vm_name_is_valid(const char *name);
bool vm_fd_name_is_valid(const char *name);

int vm_config_parse(const char *json, VmConfig *ret, TextError *reterr);
int vm_config_validate(const VmConfig *config, TextError *reterr);
int vm_config_to_json(const VmConfig *config, char **ret);

bool vm_network_name_is_valid(const char *name);

typedef enum VmFileKind {
        VM_FILE_READ,  /* a file or block device that is only read */
        VM_FILE_WRITE, /* one that the guest may write to */
        VM_FILE_FOLDER,
        VM_FILE_SOCKET, /* connected */
} VmFileKind;

/**
 * VmConfigFileFn - told of one file of a config
 * @json_path: of the member, e.g. "disks[1].partitions[0].path"
 */
typedef int (*VmConfigFileFn)(void *userdata, const char *json_path, const char *fd_name,
                              VmFileKind kind);
int vm_config_each_file(const VmConfig *config, VmConfigFileFn fn, void *userdata);
