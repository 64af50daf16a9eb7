/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The typed form of `vivarium-vmm run OPTIONS [KERNEL]`: the launcher turns it into an argument vector, the VMM turns
 * an argument vector into it, both through the one flag table of crosvm_flags.c. Spelling and meaning are crosvm's.
 * Every path may be /proc/self/fd/N.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/text_error.h"
#include "config/cpu_features.h"
#include "config/vmm_board.h"
#include "config/vmm_cpus.h"
#include "config/vmm_dialect.h"
#include "config/vmm_directory.h"
#include "config/vmm_folder.h"
#include "config/vmm_vhost_user.h"
#include "config/vmm_memory.h"
#include "config/vmm_net.h"

typedef enum VmmSerialType {
        VMM_SERIAL_SINK,        /* output is dropped */
        VMM_SERIAL_FILE,        /* appended to @path */
        VMM_SERIAL_STDOUT,      /* standard output, input from standard input if @std_in */
        VMM_SERIAL_SYSLOG,      /* each line is one of the VMM's log */
        VMM_SERIAL_UNIX,        /* each line is a message to the datagram socket @path */
        VMM_SERIAL_UNIX_STREAM, /* the stream socket @path, also for input if @input_unix_stream */
} VmmSerialType;

typedef enum VmmSerialHardware {
        VMM_SERIAL_HARDWARE_16550,          /* hardware=serial: COM1..COM4 */
        VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE, /* hardware=virtio-console: hvc0.. */
        VMM_SERIAL_HARDWARE_DEBUGCON, /* hardware=debugcon: a port that firmware writes its log to */
} VmmSerialHardware;

#define VMM_CONSOLE_QUEUES 2u /* receive, transmit */
#define VMM_VSOCK_QUEUES 3u   /* receive, transmit, events */

typedef struct VmmSerial {
        VmmSerialType type;
        VmmSerialHardware hardware;
        unsigned num; /* 1-based: 1..4 for 16550, 1..VMM_CONSOLES_MAX for virtio-console */
        char *path;   /* owned; of a file or socket */
        char *input;  /* owned; optional file or descriptor that input is read from */
        bool input_unix_stream; /* input from the socket that output goes to */
        bool out_timestamp;     /* each line begins with the time */
        unsigned pci_slot;      /* of a virtio-console; 1..VMM_PCI_SLOT_MAX, 0: any */
        uint16_t queue_sizes
                [VMM_CONSOLE_QUEUES]; /* of a virtio-console, at most; powers of two, or 0: as is best */
        bool std_in;                  /* input from standard input */
        bool console;                 /* the kernel's console= unless params name one */
        bool earlycon;
        unsigned debugcon_port; /* default 0x402 */
} VmmSerial;

/* How files are read and written beside the guest, in crosvm's words for it. */
typedef enum VmmExecutor {
        VMM_EXECUTOR_ANY,   /* io_uring where the host has it, threads elsewhere */
        VMM_EXECUTOR_EPOLL, /* threads that block in our place */
        VMM_EXECUTOR_URING, /* io_uring, or the VM does not start */
} VmmExecutor;

typedef struct VmmDisk {
        char *path; /* owned */
        bool read_only;
        bool root;   /* root= of the kernel command line */
        bool sparse; /* default true */
        bool direct;
        bool dontcache;        /* nothing of it stays in the host's page cache */
        bool multiple_workers; /* accepted: requests are served side by side in any case */
        bool lock;             /* default true */
        bool packed;           /* the driver may have packed rings */
        unsigned block_size;   /* default 512; power of two, 512..4096 */
        char *id;              /* owned, optional; at most 20 ASCII bytes */
        unsigned pci_slot;     /* 1..VMM_PCI_SLOT_MAX, 0: any */
        int boot_index;        /* firmware boots the lowest first; −1: no place in the order */
        VmmExecutor executor;  /* VMM_EXECUTOR_ANY: as VmmConfig says */
} VmmDisk;

/* The flash chip that keeps the firmware's variables. */
typedef struct VmmPflash {
        char *path;          /* owned; NULL: there is none */
        uint32_t block_size; /* default 4096 */
} VmmPflash;

/* A file of the firmware configuration device: one of @path and @string. */
typedef struct VmmFwCfgFile {
        char *name;   /* owned; 1 to VMM_FW_CFG_NAME_MAX bytes */
        char *path;   /* owned */
        char *string; /* owned */
} VmmFwCfgFile;

typedef enum VmmHypervisor {
        VMM_HYPERVISOR_AUTO,
        VMM_HYPERVISOR_KVM,
        VMM_HYPERVISOR_SOFT,
} VmmHypervisor;

#define VMM_SYSLOG_TAG_MAX 48u
#define VMM_PFLASH_BLOCK_SIZE 4096u
#define VMM_DEBUGCON_PORT 0x402u
#define VMM_FW_CFG_NAME_MAX 55u
#define VMM_FW_CFG_FILES_MAX 32u
#define VMM_BOOT_INDEX_MAX 65535u
#define VMM_DEBUGCONS_MAX 1u
#define VMM_DISKS_MAX 24u
#define VMM_SCSI_DISKS_MAX 24u
#define VMM_CONSOLES_MAX 8u
#define VMM_SERIALS_MAX (4u + VMM_CONSOLES_MAX + VMM_DEBUGCONS_MAX)
#define VMM_PCI_DEVICES_MAX 31u /* all virtio devices share one bus */

/* SMBIOS structures of type 11 count their strings in one byte; all of them share a few pages with the other tables. */
#define VMM_OEM_STRINGS_MAX 16u
#define VMM_OEM_STRING_BYTES_MAX 255u

/* Context ids that a guest may have (virtio 1.2 section 5.10.4). */
#define VMM_CID_MIN 3u
#define VMM_CID_MAX UINT32_C(0xfffffffe)

/*
 * --pmem: a file that the guest has as persistent memory, or memory of the host that is lost at the end; --pmem-ext2: a
 * file that is made of a directory.
 */
typedef struct VmmPmem {
        char *path; /* owned; with @vma_bytes only the name of that memory */
        bool read_only;
        bool root;                 /* root= of the kernel command line */
        uint64_t vma_bytes;        /* of memory instead of a file; 0: it is a file */
        uint64_t swap_interval_ms; /* the host takes the guest's pages of it so often; 0: never */
        VmmExt2 *ext2; /* owned; what becomes of the directory @path; NULL: it is a file */
} VmmPmem;

#define VMM_PMEMS_MAX 8u
#define VMM_PMEM_BYTES_MAX (UINT64_C(1) << 46)
#define VMM_PMEM_INTERVAL_MS_MAX (UINT64_C(1) << 40)

/* --vfio: a PCI function of the host that the guest drives itself. */
typedef struct VmmVfio {
        char *path;        /* owned; of its directory in sysfs */
        unsigned pci_slot; /* 1..VMM_PCI_SLOT_MAX, 0: any */
} VmmVfio;

#define VMM_VFIOS_MAX 8u

typedef struct VmmConfig {
        VmmDialect
                dialect; /* in whose words crosvm_flags_emit() writes it; parsing is always ours */

        bool extended_status; /* global part, before `run` */
        char *log_level;      /* owned, optional; global part */
        char *syslog_tag;     /* owned, optional; global part: what log lines begin with */

        char *name;   /* owned, optional */
        char *kernel; /* owned; the positional argument; optional with @bios */
        char *bios;   /* owned, optional: firmware to start instead of the kernel */
        VmmPflash pflash;
        VmmFwCfgFile fw_cfg[VMM_FW_CFG_FILES_MAX];
        size_t n_fw_cfg;
        bool enable_fw_cfg; /* also without firmware */
        char *initrd;       /* owned, optional */
        StrVec params;
        StrVec oem_strings;    /* SMBIOS type 11, in this order; none is empty */
        uint64_t memory_bytes; /* default 256 MiB */
        unsigned n_vcpus;      /* default 1 */
        VmmCpus cpus;
        VmmBoard board;
        VmmMemory memory;
        VmmHypervisor hypervisor;
        char *kvm_device; /* owned, optional: --hypervisor kvm[device=PATH] */
        CpuFeatureChange cpu_features;
        char *socket;  /* owned, optional: where the control socket listens */
        char *gdb;     /* owned, optional: TCP port or Unix socket where a debugger connects */
        char *ramdump; /* owned, optional: file for an ELF core when the guest panics */
        char *restore; /* owned, optional: snapshot to go on from instead of booting */
        bool suspended_vcpus; /* the same, with the devices awake */
        bool strict_balloon;  /* a guest that is out of memory cannot take it back */
        bool suspended;       /* start suspended, until the control socket says otherwise */
        bool no_rng;
        uint32_t vsock_cid;     /* VMM_CID_MIN..MAX; 0: no sockets */
        char *vsock_socket_dir; /* owned; where the host's ends are; NULL: in the host's kernel */
        uint16_t vsock_queue_sizes[VMM_VSOCK_QUEUES]; /* at most; powers of two, or 0: as is best */
        char *vsock_device; /* owned, optional: of the kernel's; /dev/vhost-vsock if NULL */
        bool test_device;   /* what test programs for processors expect: exit port and the like */
        bool hugepages;
        bool lock_guest_memory;
        char *swap; /* owned, optional: directory for the file that guest memory may be moved to */
        bool unmap_guest_memory_on_fork;
        bool boost_uclamp;
        bool no_balloon;
        bool balloon_page_reporting;
        char *balloon_control; /* owned, optional: socket of whoever sizes the balloon, or /proc/self/fd/N */
        uint64_t init_memory_bytes; /* RAM that the guest starts with; 0: all of it */
        bool no_usb;                /* accepted: there is no USB */
        bool disable_sandbox;
        bool seccomp_log_failures; /* what the filters forbid is logged and done */
        char *pivot_root; /* owned, optional: the empty directory that the sandbox has for its root */

        VmmSerial serials[VMM_SERIALS_MAX];
        size_t n_serials;
        VmmExecutor executor; /* of the disks below that do not say, and of @pmems */
        VmmDisk disks[VMM_DISKS_MAX];
        size_t n_disks;
        /* All of one controller, in the order of their targets; @sparse, and without slot, boot index and executor. */
        VmmDisk *scsi_disks; /* owned; room for VMM_SCSI_DISKS_MAX if there is one */
        size_t n_scsi_disks;
        VmmPmem pmems[VMM_PMEMS_MAX];
        size_t n_pmems;
        VmmVfio vfios[VMM_VFIOS_MAX];
        size_t n_vfios;
        bool vfio_hotplug; /* more may come while the machine runs */
        VmmNet nets[VMM_NETS_MAX];
        size_t n_nets;
        VmmOldNets old_nets; /* empty once the arguments are read */
        VmmFolder folders[VMM_FOLDERS_MAX];
        size_t n_folders;
        VmmVhostUser vhost_users[VMM_VHOST_USERS_MAX];
        size_t n_vhost_users;
        uint32_t vhost_user_timeout_ms; /* to wait for each process to listen */
        VmmSharedDir *shared_dirs;      /* owned; room for VMM_SHARED_DIRS_MAX if there is one */
        size_t n_shared_dirs;
} VmmConfig;

void vmm_config_init(VmmConfig *config);
void vmm_config_deinit(VmmConfig *config);
uint32_t vmm_config_pci_slots(const VmmConfig *config);
bool vmm_config_has_kernel_rings(const VmmConfig *config);
int vmm_config_validate(const VmmConfig *config, TextError *reterr);

void vmm_serial_init(VmmSerial *serial);
void vmm_serial_deinit(VmmSerial *serial);
bool vmm_serial_has_path(VmmSerialType type);
void vmm_disk_init(VmmDisk *disk);
void vmm_disk_deinit(VmmDisk *disk);
void vmm_pmem_deinit(VmmPmem *pmem);
void vmm_vfio_deinit(VmmVfio *vfio);
void vmm_fw_cfg_file_deinit(VmmFwCfgFile *file);

/* Exit statuses of the VMM with --extended-status, crosvm's numbers. */
enum {
        VMM_EXIT_STOPPED = 0,
        VMM_EXIT_ERROR = 1,
        VMM_EXIT_RESET = 32,
        VMM_EXIT_CRASH = 33,
        VMM_EXIT_GUEST_PANIC = 34,
        VMM_EXIT_INVALID_ARGS = 35,
        VMM_EXIT_WATCHDOG = 36,
};
