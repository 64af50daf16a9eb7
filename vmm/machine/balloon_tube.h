/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* --balloon-control: a connection over which another process sizes the balloon, in place of the control socket. */

#include "base/cleanup.h"
#include "config/balloon_message.h"
#include "vmm/event/loop.h"
#include "vmm/virtio/devices.h"

typedef struct BalloonTube BalloonTube;

int balloon_tube_new_consume(Loop *loop, int fd, const char *name, uint64_t memory_bytes,
                             BalloonTube **ret);
BalloonTube *balloon_tube_free(BalloonTube *tube);
DEFINE_CLEANUP(BalloonTube *, balloon_tube_free)
void balloon_tube_set_device(BalloonTube *tube, VirtioDevice *device);

/* Handlers of VirtioBalloonConfig; @userdata is the BalloonTube. */
void balloon_tube_got_stats(void *userdata, const VirtioBalloonStats *stats);
void balloon_tube_resized(void *userdata);
void balloon_tube_served(void *userdata, bool by_driver);

void balloon_tube_name_stats(const VirtioBalloonStats *stats, uint64_t actual, ControlBalloon *ret);
