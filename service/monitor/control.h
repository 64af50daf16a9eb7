/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Requests to a VMM by its control socket, docs/CONTROL_PROTOCOL.md, each with a connection of its own, since answers on
 * one connection may overtake each other. The VMM is hostile: its answer is bounded in size and in time.
 */

#include <systemd/sd-event.h>

#include "base/clock.h"
#include "config/control_message.h"

typedef struct ControlCall ControlCall;

/**
 * ControlDoneFn - the end of a call; it is freed when this returns
 * @r:      0, and @answer is neither of the errors; -EREMOTEIO when the VMM refused, with its sentence in @text;
 *          -ETIMEDOUT; -EBADMSG for an answer that is none; other negative errno
 * @answer: NULL unless @r is 0; borrowed
 * @text:   borrowed, raw bytes of the VMM; NULL unless it refused
 */
typedef void (*ControlDoneFn)(void *userdata, int r, const ControlAnswer *answer, const char *text);

int control_listen(int dir_fd, const char *name);
int control_call_new(sd_event *event, int fd, const ControlRequest *request, int file,
                     usec_t timeout_usec, ControlDoneFn done, void *userdata, ControlCall **ret);
ControlCall *control_call_free(ControlCall *call);
