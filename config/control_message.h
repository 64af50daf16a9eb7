/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The messages of a VM's control socket: JSON in the shapes of crosvm's VmRequest and VmResponse, one message a packet,
 * descriptors beside it and named by their index. docs/CONTROL_PROTOCOL.md lists them. Both sides use this codec; what
 * arrives is hostile on both.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/text_error.h"

#define CONTROL_MESSAGE_MAX 16384u /* bytes of a request */
#define CONTROL_ANSWER_MAX 131072u /* bytes of an answer */
#define CONTROL_FDS_MAX 32u        /* descriptors beside one message, as in crosvm */

/*
 * X(KIND, group, name): a request is `"name"` or `{"name":…}` where @group is NULL, and `{"group":"name"}` or
 * `{"group":{"name":…}}` otherwise.
 */
#define CONTROL_REQUEST_TABLE(X)                                                                   \
        X(EXIT, NULL, "Exit")                                                                      \
        X(POWERBTN, NULL, "Powerbtn")                                                              \
        X(SLEEPBTN, NULL, "Sleepbtn")                                                              \
        X(MAKE_RT, NULL, "MakeRT")                                                                 \
        X(GPE, NULL, "Gpe")                                                                        \
        X(SUSPEND_VCPUS, NULL, "SuspendVcpus")                                                     \
        X(RESUME_VCPUS, NULL, "ResumeVcpus")                                                       \
        X(SUSPEND_VM, NULL, "SuspendVm")                                                           \
        X(RESUME_VM, NULL, "ResumeVm")                                                             \
        X(VCPU_PID_TID, NULL, "VcpuPidTid")                                                        \
        X(BALLOON_ADJUST, "BalloonCommand", "Adjust")                                              \
        X(BALLOON_STATS, "BalloonCommand", "Stats")                                                \
        X(DISK_RESIZE, "DiskCommand", NULL)                                                        \
        X(NET_ADD, "HotPlugNetCommand", "AddTap")                                                  \
        X(NET_ADD_FD, "HotPlugNetCommand", "AddTapFd")                                             \
        X(NET_REMOVE, "HotPlugNetCommand", "RemoveTap")                                            \
        X(NET_LINK, "NetCommand", "SetLink")                                                       \
        X(DISK_ADD, "HotPlugDiskCommand", "AddDisk")                                               \
        X(DISK_REMOVE, "HotPlugDiskCommand", "RemoveDisk")                                         \
        X(DISK_LIST, "HotPlugDiskCommand", "ListDisks")                                            \
        X(VFIO, "HotPlugVfioCommand", NULL)                                                        \
        X(RAMDUMP, NULL, "Ramdump")                                                                \
        X(SNAPSHOT_TAKE, "Snapshot", "Take")                                                       \
        X(SWAP_ENABLE, "Swap", "Enable")                                                           \
        X(SWAP_TRIM, "Swap", "Trim")                                                               \
        X(SWAP_OUT, "Swap", "SwapOut")                                                             \
        X(SWAP_DISABLE, "Swap", "Disable")                                                         \
        X(SWAP_STATUS, "Swap", "Status")                                                           \
        X(STATS, NULL, "Stats")                                                                    \
        X(STATE, NULL, "State")

typedef enum ControlKind {
#define CONTROL_KIND_ENUM(KIND, group, name) CONTROL_##KIND,
        CONTROL_REQUEST_TABLE(CONTROL_KIND_ENUM)
#undef CONTROL_KIND_ENUM
        /* One of crosvm's that this VMM does not have; @text is its name. */
        CONTROL_UNSUPPORTED,
} ControlKind;

#define CONTROL_KINDS ((unsigned) CONTROL_UNSUPPORTED + 1)

/* Which members count depends on @kind; the others are zero. */
typedef struct ControlRequest {
        ControlKind kind;
        /* GPE: event; DISK_RESIZE, and DISK_REMOVE with @flag: disk; NET_LINK, *_REMOVE: PCI slot ("bus") */
        unsigned index;
        int fd_index; /* of the descriptor that belongs to it, -1 = none */
        /* BALLOON_ADJUST: wait_for_success; NET_LINK: up; VFIO: add; DISK_REMOVE: see @index; SWAP_DISABLE: slow_file_cleanup */
        bool flag;
        uint64_t bytes; /* BALLOON_ADJUST, DISK_RESIZE: the new size */
        char *text; /* owned, or NULL. NET_ADD: interface; DISK_ADD: value of --block; VFIO, RAMDUMP, SNAPSHOT_TAKE: path */
} ControlRequest;

void control_request_deinit(ControlRequest *request);
const char *control_kind_name(ControlKind kind);
int control_request_parse(const char *json, unsigned n_fds, ControlRequest *ret, TextError *reterr);
int control_request_format(const ControlRequest *request, char **ret);

typedef enum ControlAnswerKind {
        CONTROL_OK,
        CONTROL_ERR,        /* @error */
        CONTROL_ERR_STRING, /* @text */
        CONTROL_ANSWER_BALLOON,
        CONTROL_ANSWER_HOTPLUG, /* @bus, and of a disk @disk */
        CONTROL_ANSWER_DISKS,
        CONTROL_ANSWER_VCPUS,
        CONTROL_ANSWER_STATS,
        CONTROL_ANSWER_STATE,
        CONTROL_ANSWER_SWAP,  /* parsed: @text is the JSON of the status alone */
        CONTROL_ANSWER_OTHER, /* parsed, but none of these; @text is its JSON */
} ControlAnswerKind;

/* X(member): in the order of crosvm's BalloonStats; each is a number or, where the guest does not tell, absent. */
#define CONTROL_BALLOON_TABLE(X)                                                                   \
        X(swap_in)                                                                                 \
        X(swap_out)                                                                                \
        X(major_faults)                                                                            \
        X(minor_faults)                                                                            \
        X(free_memory)                                                                             \
        X(total_memory)                                                                            \
        X(available_memory)                                                                        \
        X(disk_caches)                                                                             \
        X(hugetlb_allocations)                                                                     \
        X(hugetlb_failures)                                                                        \
        X(shared_memory)                                                                           \
        X(unevictable_memory)

#define CONTROL_UNKNOWN UINT64_MAX /* JSON null */

typedef struct ControlBalloon {
#define CONTROL_BALLOON_MEMBER(member) uint64_t member;
        CONTROL_BALLOON_TABLE(CONTROL_BALLOON_MEMBER)
#undef CONTROL_BALLOON_MEMBER
        uint64_t balloon_actual; /* bytes that the guest has given up */
} ControlBalloon;

/* X(member): in the order of crosvm's SwapMetrics; pages of 4 KiB. */
#define CONTROL_SWAP_TABLE(X)                                                                      \
        X(resident_pages)                                                                          \
        X(copied_from_file_pages)                                                                  \
        X(copied_from_staging_pages)                                                               \
        X(zeroed_pages)                                                                            \
        X(redundant_pages)                                                                         \
        X(staging_pages)                                                                           \
        X(swap_pages)

typedef struct ControlSwap {
        const char *state; /* static; the name of one of crosvm's states */
#define CONTROL_SWAP_MEMBER(member) uint64_t member;
        CONTROL_SWAP_TABLE(CONTROL_SWAP_MEMBER)
#undef CONTROL_SWAP_MEMBER
        uint64_t transition_pages, transition_ms; /* of the change to this state */
} ControlSwap;

/* One counter of one thing: {"class":{"object":{"counter":value}}} in the answer. */
typedef struct ControlCounter {
        const char *class;   /* "vcpus", "devices"; static */
        char object[32];     /* "0", "virtio-blk@3" */
        const char *counter; /* static */
        uint64_t value;
} ControlCounter;

typedef struct ControlVcpu {
        pid_t pid, tid;
} ControlVcpu;

#define CONTROL_DISKS_MAX 32u
#define CONTROL_DISK_ID_MAX 20u /* bytes of a serial number */

/* A disk of a running VM. */
typedef struct ControlDisk {
        uint32_t number; /* by which it is resized, and may be removed */
        unsigned bus;
        uint64_t bytes;
        bool read_only;
        char id[CONTROL_DISK_ID_MAX + 1]; /* its serial number; "" without one */
} ControlDisk;

/* Borrows all it points to, but for an answer from control_answer_parse(), which owns @text. */
typedef struct ControlAnswer {
        ControlAnswerKind kind;
        int error; /* positive errno */
        char *text;
        unsigned bus;  /* by which the new device is removed again */
        bool has_disk; /* it is a disk, with this number: */
        uint32_t disk;
        ControlBalloon balloon;
        ControlSwap swap;
        const ControlVcpu *vcpus;
        size_t n_vcpus;
        ControlDisk disks[CONTROL_DISKS_MAX];
        size_t n_disks;
        const ControlCounter *counters; /* those of one object stand together */
        size_t n_counters;
        bool vcpus_suspended, devices_suspended;
} ControlAnswer;

int control_answer_format(const ControlAnswer *answer, char **ret);
int control_answer_parse(const char *json, ControlAnswer *ret, TextError *reterr);
