/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_vfio_guest.h"

#include <assert.h>
#include <stdio.h>

int vfio_guest_setup(void **state) {
        static VfioGuest guest;
        int r;

        guest = (VfioGuest){.fake = fake_vfio_new()};
        r = vfio_container_new(&fake_vfio_ops, guest.fake->board->mem, &guest.container);
        assert(r == 0);
        *state = &guest;
        return 0;
}

int vfio_guest_setup_inside(void **state) {
        int r = vfio_guest_setup(state);
        FakeBoard *board = ((VfioGuest *) *state)->fake->board;

        board->partition.passthrough = NULL;
        board->partition.msi_routes = NULL;
        return r;
}

int vfio_guest_teardown(void **state) {
        VfioGuest *guest = *state;

        fake_vfio_free(guest->fake);
        vfio_container_free(guest->container);
        return 0;
}

/** vfio_guest_try_add() - give the host's function to the guest. Return: as vfio_function_new(). */
int vfio_guest_try_add(const VfioGuest *guest, TextError *reterr) {
        const VfioFunctionConfig config = {
                .container = guest->container,
                .path = guest->fake->path,
                .root = guest->fake->board->root,
                .slot = VFIO_GUEST_SLOT,
                .partition = &guest->fake->board->partition,
                .loop = guest->fake->board->loop,
        };

        return vfio_function_new(&config, reterr);
}

/** vfio_guest_add() - the same, which must succeed */
void vfio_guest_add(const VfioGuest *guest) {
        _cleanup_(text_error_deinit) TextError why = {0};
        int r = vfio_guest_try_add(guest, &why);

        if (r < 0)
                (void) fprintf(stderr, "%s\n", why.message);
        assert(r == 0);
}
