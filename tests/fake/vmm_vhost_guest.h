/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The fixture of vhost-user devices: one on a board, between a driver and a process that is a puppet. */

#include "tests/fake/vmm_vhost_fake.h"
#include "tests/fake/vmm_virtio_driver.h"

typedef struct VhostGuest {
        FakeBoard *board;
        FakeDriver driver;
        FakeVhost process;
        gpa_t out, in; /* a page each: what a request is, and room for its answer */
} VhostGuest;

/* cmocka's set-up and its end; *state is a VhostGuest whose board has no device yet. */
int vhost_guest_setup(void **state);
int vhost_guest_teardown(void **state);

void vhost_guest_attach(VhostGuest *guest, VirtioDevice *dev);
void vhost_guest_ask(VhostGuest *guest, unsigned queue, uint32_t out_len, uint32_t in_len);
