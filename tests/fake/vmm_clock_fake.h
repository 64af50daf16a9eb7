/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A clock that stands still until a test moves it; alarms fire on the caller's thread, in order of their time. */

#include "vmm/event/guest_clock.h"

GuestClock *fake_clock_new(uint64_t now_nsec, usec_t wall_usec);
void fake_clock_advance(GuestClock *clock, uint64_t nsec);
unsigned fake_clock_armed(GuestClock *clock);
