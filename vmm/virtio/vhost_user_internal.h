/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A device whose queues another process serves, and what its type adds to that; shared by two files. */

#include "vmm/vhost_user/vhost_user.h"
#include "vmm/virtio/devices.h"

typedef struct VhostUserDevice VhostUserDevice;
typedef struct VhostUserKind VhostUserKind;

/* What it takes to end a request in place of the process. */
typedef struct VhostUserRequest {
        uint8_t *status; /* in guest memory, or NULL: where the request says how it ended */
        bool waits;      /* it wants something that only the process has */
        bool pending;
} VhostUserRequest;

struct VhostUserDevice {
        VirtioDevice dev;
        const VhostUserKind *kind;
        VhostUser *vhost;  /* owned */
        char *name;        /* owned: for the log */
        int wake_fd;       /* owned eventfd: a vCPU has asked for something */
        LoopSource *wake;  /* owned */
        unsigned n_queues; /* the process's; those after them are ours */
        uint8_t config[VHOST_USER_CONFIG_MAX];
        bool config_written; /* by the driver, and not told yet */
        bool started, stopping, suspended, resetting, lost;
        uint32_t started_queues; /* a bit each */
        uint32_t full_queues;    /* a bit each: a request waits for room */
        unsigned n_pending;      /* requests that the process has */
        unsigned queue_size;
        VhostUserRequest requests[]; /* @queue_size for each of @n_queues, by their chains' heads */
};

/* One type of device. */
struct VhostUserKind {
        VirtioOps ops;
        uint64_t features;        /* that can be passed on */
        uint64_t config_features; /* those of them that are about the configuration */
        unsigned min_queues, max_queues;
        bool queue_per_vcpu; /* more than that, but for @min_queues, do no good */
        unsigned own_queues; /* that the process does not have */
        size_t config_len;
        bool needs_config; /* the device makes no sense without it */
        bool ends;         /* each request ends in time, by itself */
        /* Of the configuration what the driver may write, if it has accepted @write_feature. */
        uint64_t write_feature;
        size_t write_offset, write_len;
        /* Optional: how many of the process's queues the guest has; all, if NULL. At least @min_queues. */
        unsigned (*count_queues)(const VhostUser *vhost);
        /* Optional: make what the process told, or nothing, the guest's configuration. */
        void (*adapt)(VhostUserDevice *vd);
        /* Optional: where a request says how it ended, or NULL. */
        uint8_t *(*status)(const VirtqChain *chain);
        uint8_t failure; /* what is written there */
        /* Optional: tell the guest that the process is gone; the lock is held. */
        void (*lost)(VhostUserDevice *vd);
};

const VhostUserKind *virtio_vhost_user_kind(uint16_t type);

/* For the table of kinds. */
void virtio_vhost_user_notify(VirtioDevice *dev, unsigned queue);
int virtio_vhost_user_reset(VirtioDevice *dev);
void virtio_vhost_user_config_write(VirtioDevice *dev, uint64_t offset, unsigned size,
                                    uint64_t value);
void virtio_vhost_user_suspend(VirtioDevice *dev);
void virtio_vhost_user_resume(VirtioDevice *dev);
bool virtio_vhost_user_busy(const VirtioDevice *dev);
VirtioDevice *virtio_vhost_user_free(VirtioDevice *dev);
