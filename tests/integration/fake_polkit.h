/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An authority on the private bus that answers CheckAuthorization() as the test says: a process of its own. */

#include "tests/integration/bus_host.h"

typedef enum FakeVerdict {
        FAKE_NO,
        FAKE_YES,
        FAKE_CHALLENGE,
        FAKE_SILENCE, /* no answer */
        FAKE_NONSENSE,
} FakeVerdict;

typedef struct FakePolkit {
        pid_t pid;
        sd_bus *bus; /* borrowed; of the test */
} FakePolkit;

void fake_polkit_start(const BusHost *host, FakePolkit *ret);
void fake_polkit_stop(FakePolkit *polkit);
void fake_polkit_set(const FakePolkit *polkit, const char *action, FakeVerdict verdict);
void fake_polkit_allow(const FakePolkit *polkit, const char *const *actions);
uint32_t fake_polkit_count(const FakePolkit *polkit, const char *what);
void fake_polkit_wait(const FakePolkit *polkit, const char *what, uint32_t n);
