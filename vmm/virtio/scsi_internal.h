/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parts of the SCSI controller: scsi.c is the device and its commands, scsi_control.c the control and event queues. */

#include "vmm/scsi/scsi.h"
#include "vmm/virtio/devices.h"

#define SCSI_QUEUE_CONTROL 0u
#define SCSI_QUEUE_EVENT 1u
#define SCSI_QUEUE_REQUEST 2u /* the first of them */

#define SCSI_LUN_LEN 8u

/* Disks neither come nor go, but Linux listens for events of any kind only where they could. */
#define SCSI_F_HOTPLUG (UINT64_C(1) << 1)
#define SCSI_F_CHANGE (UINT64_C(1) << 2)

/* Responses (virtio 1.2 sections 5.6.6.1.1 and 5.6.6.2). */
enum {
        SCSI_S_OK = 0,
        SCSI_S_FUNCTION_COMPLETE = 0,
        SCSI_S_OVERRUN = 1,
        SCSI_S_BAD_TARGET = 3,
        SCSI_S_BUSY = 5,
        SCSI_S_FAILURE = 9,
        SCSI_S_FUNCTION_SUCCEEDED = 10,
        SCSI_S_FUNCTION_REJECTED = 11,
        SCSI_S_INCORRECT_LUN = 12,
};

typedef struct VirtioScsi VirtioScsi;

/* Where a command or a control request goes. */
typedef struct ScsiAddress {
        unsigned target; /* below VirtioScsi.n_disks */
        unsigned lun;    /* 0: the disk; all else is not there */
} ScsiAddress;

/* A command that the disk has. */
typedef struct ScsiRequest ScsiRequest;
struct ScsiRequest {
        ScsiTask task;
        VirtioScsi *scsi;         /* owner */
        ScsiRequest *prev, *next; /* in VirtioScsi.first */
        ScsiAddress address;
        uint64_t id;     /* the driver's */
        uint64_t number; /* ours, counted upward */
        unsigned queue;
        uint32_t head;
        uint32_t response_len; /* as long as the driver had it when the request came */
        unsigned n_in;         /* entries of @iov that are the room for response and data */
        struct iovec iov[];    /* behind them: the data */
};

/* A control request that waits for commands to end. */
typedef struct ScsiWait ScsiWait;
struct ScsiWait {
        ScsiWait *next;
        ScsiAddress address;
        bool one;     /* only the command with @id */
        bool any_lun; /* of the whole target */
        uint64_t id;
        uint64_t before; /* commands with a lower number */
        unsigned n;      /* so many are still under way */
        uint32_t head;
        uint8_t *response; /* in guest memory */
};

struct VirtioScsi {
        VirtioDevice dev;
        ScsiDisk *disks[VIRTIO_SCSI_DISKS_MAX]; /* owned, by target */
        unsigned n_disks;
        uint8_t config[36];
        ScsiRequest *first;   /* owned: those that disks have */
        ScsiWait *waits;      /* owned */
        unsigned n_pending;   /* length of @first */
        uint64_t next_number; /* of the next request */
        bool resetting;       /* requests that end are forgotten; the last one ends the reset */
        bool closing;         /* requests that end are forgotten */
        bool locked;          /* loop thread: the lock is held further up the stack */
        bool missed_event;    /* there was no buffer for it */
        uint32_t touched;     /* bit per disk: has something to submit */
        uint32_t answered;    /* bit per queue: the driver has not been told yet */
};

/* scsi.c */
bool virtio_scsi_parse_lun(const VirtioScsi *scsi, const uint8_t *lun, ScsiAddress *ret);

/* scsi_control.c; the lock is held, on the loop, but for virtio_scsi_forget_waits(). */
void virtio_scsi_control(VirtioDevice *dev, unsigned queue, const VirtqChain *chain);
void virtio_scsi_request_ended(VirtioScsi *scsi, const ScsiRequest *req);
void virtio_scsi_forget_waits(VirtioScsi *scsi);
void virtio_scsi_tell_capacity(VirtioScsi *scsi, unsigned target);
void virtio_scsi_tell_missed(VirtioScsi *scsi);
