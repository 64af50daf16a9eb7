/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A connection to a port of the guest: by the socket of its VMM that takes "CONNECT PORT" and answers "OK PORT", or by one
 * that the host's kernel connects.
 */

#include <systemd/sd-event.h>

#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"

typedef struct Dial Dial;

/**
 * DialDoneFn - the end of a dial; it is freed when this returns
 * @r:  0; -ECONNREFUSED; -ETIMEDOUT; -EBADMSG when the VMM said something else; other negative errno
 * @fd: blocking; borrowed, to be duplicated by who wants to keep it; -EBADF unless @r is 0
 */
typedef void (*DialDoneFn)(void *userdata, int r, int fd);

int dial_new(sd_event *event, int fd, uint32_t port, usec_t timeout_usec, DialDoneFn done,
             void *userdata, Dial **ret);
int dial_new_connecting(sd_event *event, int fd, usec_t timeout_usec, DialDoneFn done,
                        void *userdata, Dial **ret);
Dial *dial_free(Dial *dial);
DEFINE_CLEANUP(Dial *, dial_free)
