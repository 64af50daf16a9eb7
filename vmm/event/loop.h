/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One epoll loop per I/O thread. Sources belong to the thread that runs the loop: add, change and remove them there
 * or before it starts; other threads wake it through an eventfd source. The VMM does not use sd-event, because
 * libsystemd and what it pulls in would cost each VM more memory than all its devices.
 */

#include <stdint.h>

#include "base/cleanup.h"

typedef struct Loop Loop;
typedef struct LoopSource LoopSource;

/** LoopFdFn - @events are EPOLL* bits; level-triggered; may remove any source, its own included */
typedef void (*LoopFdFn)(void *userdata, int fd, uint32_t events);
typedef void (*LoopTimerFn)(void *userdata);

int loop_new(Loop **ret);
Loop *loop_free(Loop *loop);
DEFINE_CLEANUP(Loop *, loop_free)

int loop_add_fd(Loop *loop, int fd, uint32_t events, LoopFdFn fn, void *userdata, LoopSource **ret);
int loop_set_events(LoopSource *source, uint32_t events);
int loop_add_timer(Loop *loop, LoopTimerFn fn, void *userdata, LoopSource **ret);
int loop_set_timer(LoopSource *source, uint64_t due_nsec);
LoopSource *loop_remove(LoopSource *source);
int loop_run(Loop *loop);
void loop_exit(Loop *loop);
