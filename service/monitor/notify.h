/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The socket to which the VMM brings what its guest has to tell of the payload: one batch of assignments a connection. */

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "service/monitor/notify_message.h"

typedef struct Notify Notify;

/**
 * NotifyFn - a well-formed batch; must not free the Notify
 *
 * Return: NULL; or why it is of no use, told to the guest; borrowed.
 */
typedef const char *(*NotifyFn)(void *userdata, const NotifyMessage *message);

int notify_listen(int dir_fd, const char *name);
int notify_listen_vsock(uint32_t port);
int notify_new(sd_event *event, int listen_fd, NotifyFn fn, void *userdata, Notify **ret);
Notify *notify_free(Notify *notify);
DEFINE_CLEANUP(Notify *, notify_free)
void notify_require_cid(Notify *notify, uint32_t cid);
int notify_fd(const Notify *notify);
