/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The fixture of passthrough: a host with one PCI function, and the container that a guest's board has for it. */

#include "base/text_error.h"
#include "tests/fake/vmm_vfio_kernel.h"

#define VFIO_GUEST_SLOT 3u

typedef struct VfioGuest {
        FakeVfio *fake;
        VfioContainer *container;
} VfioGuest;

/* cmocka's set-up and its end; *state is a VfioGuest whose board has no function yet. */
int vfio_guest_setup(void **state);
int vfio_guest_setup_inside(
        void **state); /* its hypervisor is a part of the VMM: no routes, no memory of devices */
int vfio_guest_teardown(void **state);

int vfio_guest_try_add(const VfioGuest *guest, TextError *reterr);
void vfio_guest_add(const VfioGuest *guest);
