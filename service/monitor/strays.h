/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Children that nobody spawned here: the daemon is a subreaper, so what a keeper leaves behind when it is killed comes to it.
 * One that a Process names is its owner's to reap; all others are reaped here, and nobody asks how they ended.
 */

#include <systemd/sd-event.h>

int strays_watch(sd_event *event);
