/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vmm_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "base/fd_path.h"

/** vmm_net_init() - crosvm's defaults, but with mergeable buffers: one pair of queues */
void vmm_net_init(VmmNet *net) {
        *net = (VmmNet){.n_pairs = 1, .mergeable = true};
}

/** vmm_net_deinit() - release what it owns */
void vmm_net_deinit(VmmNet *net) {
        for (size_t i = 0; i < net->n_forwards; i++)
                free(net->forwards[i].address);
        free(net->forwards);
        free(net->tap_name);
        free(net->vhost_device);
        *net = (VmmNet){0};
}

static int check_forwards(const VmmNet *net, TextError *reterr) {
        if (net->n_forwards > 0 && !net->user)
                return text_error_set(reterr, -EINVAL, "--net: forward= needs user");
        for (size_t i = 0; i < net->n_forwards; i++)
                for (size_t j = 0; j < i; j++)
                        if (net->forwards[i].udp == net->forwards[j].udp &&
                            net->forwards[i].host_port == net->forwards[j].host_port)
                                return text_error_set(reterr, -EINVAL,
                                                      "--net: forward: port %u is given twice",
                                                      net->forwards[i].host_port);
        return 0;
}

static int check_made(const VmmNet *net, TextError *reterr) {
        const uint32_t hosts = ~ntohl(net->netmask);

        if (net->host_ip == 0 || net->netmask == 0 || !net->has_mac)
                return text_error_set(reterr, -EINVAL,
                                      "--net: host-ip=, netmask= and mac= need each other");
        if (hosts & (hosts + 1))
                return text_error_set(reterr, -EINVAL, "--net: netmask: the ones have gaps");
        return 0;
}

/** vmm_net_validate() - whether the keys of one card make sense together. Return: 0; -EINVAL with a sentence. */
int vmm_net_validate(const VmmNet *net, TextError *reterr) {
        unsigned n = (net->n_tap_fds > 0) + (net->tap_name != NULL) + net->user + net->make;
        int fd, r;

        if (n != 1)
                return text_error_set(reterr, -EINVAL,
                                      "--net: exactly one of tap-fd=, tap-name=, host-ip= and "
                                      "user is needed");
        r = net->make ? check_made(net, reterr) : 0;
        if (r < 0)
                return r;
        if (net->n_tap_fds > net->n_pairs)
                return text_error_set(reterr, -EINVAL,
                                      "--net: %zu tap-fd are more than vq-pairs=%u", net->n_tap_fds,
                                      net->n_pairs);
        if (net->user && net->n_pairs > 1)
                return text_error_set(reterr, -EINVAL, "--net: user has one pair of queues");
        if (net->vhost && net->user)
                return text_error_set(reterr, -EINVAL,
                                      "--net: vhost-net moves frames of a TAP interface, and user "
                                      "has none");
        if (net->vhost && net->packed)
                return text_error_set(reterr, -EINVAL,
                                      "--net: packed-queue: vhost-net has split queues alone");
        if (net->vhost_device && net->n_pairs > 1 && fd_path_parse(net->vhost_device, &fd))
                return text_error_set(reterr, -EINVAL,
                                      "--net: vhost-net: an inherited device serves one pair of "
                                      "queues");
        if (net->has_mac && (net->mac[0] & 1))
                return text_error_set(reterr, -EINVAL, "--net: mac: a group address names no card");
        return check_forwards(net, reterr);
}
