/* SPDX-License-Identifier: Apache-2.0 */

/* Network cards: which backend --net asks for. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/virtio/devices.h"

/* Duplicates, so that a card that could not be made leaves the caller's descriptors as they were. */
static int inherit(const VmmNet *config, int *ret_fds, TextError *reterr) {
        for (size_t i = 0; i < config->n_tap_fds; i++) {
                char path[32];
                int fd;

                (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", config->tap_fds[i]);
                fd = fd_path_open(path, O_RDWR, 0);
                if (fd < 0) {
                        while (i > 0)
                                (void) fd_close(ret_fds[--i]);
                        return text_error_set(reterr, fd, "cannot inherit descriptor %s: %s", path,
                                              strerror(-fd));
                }
                ret_fds[i] = fd;
        }
        return 0;
}

static int new_backend(Machine *machine, const VmmNet *config, NetDev **ret, TextError *reterr) {
        int fds[VMM_NET_PAIRS_MAX] = {0}, r;

        if (config->user)
                return net_user_new(config, machine->loop, ret, reterr);
        if (config->tap_name)
                return net_tap_open(config->tap_name, config->n_pairs, machine->loop, ret, reterr);
        r = inherit(config, fds, reterr);
        if (r < 0)
                return r;
        return net_tap_new_consume(fds, (unsigned) config->n_tap_fds, config->n_pairs,
                                   machine->loop, ret, reterr);
}

/* A locally administered address of one card. */
static int choose_mac(const VmmNet *config, uint8_t *ret) {
        if (config->has_mac) {
                memcpy(ret, config->mac, sizeof(config->mac));
                return 0;
        }
        if (getrandom(ret, sizeof(config->mac), 0) != sizeof(config->mac))
                return -EIO;
        ret[0] = (uint8_t) ((ret[0] & ~0x01u) | 0x02u);
        return 0;
}

/**
 * machine_new_network() - the card that @config describes, to be put on the bus by the caller
 * @config: borrowed for the call; valid by vmm_net_validate()
 *
 * On the loop's thread; the guest may run already. Return: 0; negative errno with a sentence.
 */
int machine_new_network(Machine *machine, const VmmNet *config, VirtioDevice **ret,
                        TextError *reterr) {
        VirtioNetConfig net_config = {.mergeable = config->mergeable};
        _cleanup_(net_freep) NetDev *backend = NULL;
        int r;

        r = choose_mac(config, net_config.mac);
        if (r < 0)
                return r;
        r = new_backend(machine, config, &backend, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot use a network");
        r = virtio_net_new(backend, &net_config, ret);
        if (r < 0)
                return r;
        TAKE(backend);
        return 0;
}

/** machine_add_networks() - put the cards of the command line into slots from *@slot on; before the machine runs */
int machine_add_networks(Machine *machine, const VmmConfig *config, unsigned *slot,
                         TextError *reterr) {
        for (size_t i = 0; i < config->n_nets; i++) {
                VirtioDevice *card = NULL;
                int r;

                r = machine_new_network(machine, &config->nets[i], &card, reterr);
                if (r < 0)
                        return r;
                r = machine_add_virtio(machine, card, (*slot)++);
                if (r < 0)
                        return r;
        }
        return 0;
}
