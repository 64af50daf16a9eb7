/* SPDX-License-Identifier: Apache-2.0 */
#include "service/net/cards.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "service/net/stable_id.h"

/* The VMM and its helper inherit what this process may do. */
static bool may_open_sockets(void) {
        _cleanup_(fd_closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        return fd >= 0;
}

static int check_type(VmNetworkType type, bool has_bridges, TextError *reterr) {
        if (type == VM_NETWORK_BRIDGE && !has_bridges)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "this service has no interfaces to give; type \"user\" "
                                      "needs none");
        if (type == VM_NETWORK_USER && !may_open_sockets())
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "this service may open no sockets for a guest; type "
                                      "\"bridge\" needs none");
        return 0;
}

static int prepare(const VmNetwork *network, const char *vm_name, unsigned index, bool has_bridges,
                   LaunchCard *ret, TextError *reterr) {
        LaunchCard card = {.type = network->type};

        if (card.type == VM_NETWORK_ANY)
                card.type = has_bridges && network->forwards.n == 0 ? VM_NETWORK_BRIDGE
                                                                    : VM_NETWORK_USER;
        if (card.type == VM_NETWORK_USER &&
            (network->name || network->queues != 1 || network->isolated))
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "this service has no interfaces to give, and a network of "
                                      "type \"user\" has no name, queues or isolation");
        if (network->has_mac)
                memcpy(card.mac, network->mac, sizeof(card.mac));
        else
                stable_mac("card", vm_name, index, card.mac);
        *ret = card;
        return check_type(card.type, has_bridges, reterr);
}

/**
 * cards_prepare() - decide on the type and the address of each card; the descriptors are still to come
 * @has_bridges: whether there is a network service
 *
 * Return: 0; -EOPNOTSUPP with a sentence for what cannot be had here.
 */
int cards_prepare(const VmConfig *config, const char *vm_name, bool has_bridges, Cards *ret,
                  TextError *reterr) {
        Cards cards = {.n = config->n_networks};

        for (size_t i = 0; i < cards.n; i++) {
                int r = prepare(&config->networks[i], vm_name, (unsigned) i, has_bridges,
                                &cards.items[i], reterr);

                if (r < 0)
                        return text_error_prefix(reterr, r, "network[%zu]", i);
        }
        *ret = cards;
        return 0;
}

/** cards_have_bridges() - whether one of them is to be an interface of the host */
bool cards_have_bridges(const Cards *cards) {
        for (size_t i = 0; i < cards->n; i++)
                if (cards->items[i].type == VM_NETWORK_BRIDGE)
                        return true;
        return false;
}

/** cards_close() - give up what is there of them; their interfaces go unless the VMM has them */
void cards_close(Cards *cards) {
        for (size_t i = 0; i < cards->n; i++)
                while (cards->items[i].n_queues > 0)
                        (void) fd_close(cards->items[i].queues[--cards->items[i].n_queues]);
        cards->n = 0;
}
