/* SPDX-License-Identifier: Apache-2.0 */
#include "service/manager/cid_probe.h"

#include <linux/vhost.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/fd.h"

/*
 * The kernel answers by giving the CID to whoever asks. One descriptor asks about all, because closing one waits for all
 * processors; between questions it holds a CID that no guest is given.
 */
#define PARKED_CID_MIN (UINT64_C(1) << 31)
#define PARKED_CID_TRIES 16u

/**
 * cid_probe_init() - prepare to ask; release with cid_probe_deinit()
 * @device: /dev/vhost-vsock; where it is missing or forbidden every CID counts as free
 */
void cid_probe_init(CidProbe *probe, const char *device) {
        int fd = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);

        *probe = (CidProbe){.fd = fd < 0 ? -EBADF : fd};
}

/** cid_probe_deinit() - close the device; every CID counts as free from then on */
void cid_probe_deinit(CidProbe *probe) {
        (void) fd_close(probe->fd);
        probe->fd = -EBADF;
}

static void let_go(CidProbe *probe) {
        for (uint64_t cid = PARKED_CID_MIN; cid < PARKED_CID_MIN + PARKED_CID_TRIES; cid++)
                if (ioctl(probe->fd, VHOST_VSOCK_SET_GUEST_CID, &cid) == 0)
                        return;
        cid_probe_deinit(probe);
}

/** cid_probe_is_free() - whether no guest that the kernel knows has @cid */
bool cid_probe_is_free(CidProbe *probe, uint32_t cid) {
        uint64_t wanted = cid;

        if (probe->fd < 0)
                return true;
        if (ioctl(probe->fd, VHOST_VSOCK_SET_GUEST_CID, &wanted) < 0)
                return errno != EADDRINUSE;
        let_go(probe);
        return true;
}
