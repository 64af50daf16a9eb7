/* SPDX-License-Identifier: Apache-2.0 */
#include "service/netd/networks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "service/net/stable_id.h"
#include "service/netd/addresses.h"
#include "service/netd/networkd.h"

/*
 * A bridge is made when the first VM wants to be in it and removed when it has been empty for a while. Every step can be
 * the last one before this process is killed: a bridge that has its name and not yet its alias is finished by whoever
 * finds it, one with neither port nor user is swept, and a TAP interface dies with the descriptors that nobody has got.
 */

#define BRIDGE_ALIAS "vivarium network "
#define TAP_ALIAS "vivarium vm "
#define TAP_NAME_FREE "vmtap%d"
#define ADDRESSES_MAX 4096u
#define SWEPT_MAX 128u

struct Networks {
        Kernel kernel;
        Settings settings;
        char *networkd_dir; /* owned */
        bool reload;        /* its files changed */
};

/**
 * networks_new() - the networks that @settings describes; none is made yet
 * @kernel:       what its @self points at is borrowed
 * @settings:     copied
 * @networkd_dir: where systemd-networkd looks for files of this boot
 *
 * Return: 0 or -ENOMEM.
 */
int networks_new(const Kernel *kernel, const Settings *settings, const char *networkd_dir,
                 Networks **ret) {
        _cleanup_(networks_freep) Networks *networks = malloc(sizeof(*networks));

        if (!networks)
                return -ENOMEM;
        *networks = (Networks){
                .kernel = *kernel, .settings = *settings, .networkd_dir = strdup(networkd_dir)};
        if (!networks->networkd_dir)
                return -ENOMEM;
        *ret = TAKE(networks);
        return 0;
}

/** networks_free() - release @networks, which may be NULL; the bridges stay. Return: NULL. */
Networks *networks_free(Networks *networks) {
        if (!networks)
                return NULL;
        free(networks->networkd_dir);
        free(networks);
        return NULL;
}

/** networks_take_reload() - whether systemd-networkd has to look at its files, once for each time they changed */
bool networks_take_reload(Networks *networks) {
        bool reload = networks->reload;

        networks->reload = false;
        return reload;
}

/** tap_close() - close the queues; the interface goes with the last descriptor of any */
void tap_close(Tap *tap) {
        while (tap->n_fds > 0)
                (void) fd_close(tap->fds[--tap->n_fds]);
}

/* ---- addresses ---- */

typedef struct Used {
        IpAddress *items; /* owned array */
        size_t n;
        uint32_t bridge; /* whose own address is not in the way but the one to keep; 0: none */
        IpAddress own;
        bool has_own;
} Used;

static int note_address(void *userdata, uint32_t ifindex, const IpAddress *address) {
        Used *used = userdata;

        if (address->family != AF_INET)
                return 0;
        if (used->bridge != 0 && ifindex == used->bridge) {
                used->own = *address;
                used->has_own = true;
                return 0;
        }
        /* A host of so many addresses has to name its networks' itself. */
        if (used->n < ADDRESSES_MAX)
                used->items[used->n++] = *address;
        return 0;
}

static int choose_v4(const Networks *networks, const Network *network, uint32_t bridge,
                     IpAddress *ret) {
        const Kernel *kernel = &networks->kernel;
        _cleanup_(freep) IpAddress *items = calloc(ADDRESSES_MAX + NETWORKS_MAX, sizeof(IpAddress));
        Used used = {.items = items, .bridge = bridge};
        int r;

        if (!items)
                return -ENOMEM;
        r = kernel->ops->each_address(kernel->self, note_address, &used);
        if (r < 0)
                return r;
        if (used.has_own) {
                *ret = used.own;
                return 0;
        }
        for (size_t i = 0; i < networks->settings.n_networks; i++)
                if (networks->settings.networks[i].v4_choice == IP_GIVEN)
                        used.items[used.n++] = networks->settings.networks[i].v4;
        return ip_choose_v4(&networks->settings.pool, stable_id("network", network->name, 0),
                            used.items, used.n, ret);
}

/* The host's addresses in @network; those it has none of are of family 0. */
static int choose_addresses(const Networks *networks, const Network *network, uint32_t bridge,
                            IpAddress *ret_v4, IpAddress *ret_v6) {
        *ret_v4 = (IpAddress){0};
        *ret_v6 = (IpAddress){0};
        if (network->v6_choice == IP_GIVEN)
                *ret_v6 = network->v6;
        else if (network->v6_choice == IP_AUTO)
                ip_make_v6(stable_id("site", "", 0), stable_id("network", network->name, 1),
                           ret_v6);
        if (network->v4_choice == IP_GIVEN)
                *ret_v4 = network->v4;
        return network->v4_choice == IP_AUTO ? choose_v4(networks, network, bridge, ret_v4) : 0;
}

/* ---- bridges ---- */

static void bridge_name(const char *network, char ret[static NET_INTERFACE_MAX + 1]) {
        (void) snprintf(ret, NET_INTERFACE_MAX + 1, BRIDGE_PREFIX "%s", network);
}

static void bridge_alias(const char *network, char *ret, size_t size) {
        (void) snprintf(ret, size, BRIDGE_ALIAS "%s", network);
}

/* The name of the network whose bridge @link is, or NULL. One without an alias was not finished. */
static const char *network_of(const LinkInfo *link) {
        const char *name = str_after_prefix(link->name, BRIDGE_PREFIX), *by_alias;

        if (!name || !str_eq(link->kind, "bridge"))
                return NULL;
        by_alias = str_after_prefix(link->alias, BRIDGE_ALIAS);
        return !*link->alias || (by_alias && str_eq(by_alias, name)) ? name : NULL;
}

static int add_or_find_bridge(const Networks *networks, const char *network, LinkInfo *ret,
                              TextError *reterr) {
        const Kernel *kernel = &networks->kernel;
        char name[NET_INTERFACE_MAX + 1];
        uint8_t mac[MAC_LEN];
        int r;

        bridge_name(network, name);
        r = kernel->ops->find_link(kernel->self, name, ret);
        if (r == -ENODEV) {
                stable_mac("bridge", network, 0, mac);
                r = kernel->ops->add_bridge(kernel->self, name, mac);
                if (r == 0)
                        r = kernel->ops->find_link(kernel->self, name, ret);
        }
        if (r < 0)
                return text_error_set(reterr, r, "make bridge %s: %s", name, strerror(-r));
        if (!network_of(ret))
                return text_error_set(reterr, -EEXIST,
                                      "interface %s is there and is not this service's", name);
        return 0;
}

/* Gives the bridge all that it lacks. */
static int finish_bridge(Networks *networks, const Network *network, const LinkInfo *bridge) {
        const Kernel *kernel = &networks->kernel;
        const uint32_t ifindex = bridge->ifindex;
        char alias[LINK_ALIAS_MAX + 1];
        IpAddress v4, v6;
        int r;

        r = choose_addresses(networks, network, ifindex, &v4, &v6);
        if (r < 0)
                return r;
        if (network->dhcp && networkd_write(networks->networkd_dir, network, &v4, &v6) > 0)
                networks->reload = true;
        bridge_alias(network->name, alias, sizeof(alias));
        r = kernel->ops->set_alias(kernel->self, ifindex, alias);
        if (r == 0 && v4.family != 0)
                r = kernel->ops->add_address(kernel->self, ifindex, &v4);
        if (r == 0 && v6.family != 0) {
                r = kernel->ops->add_address(kernel->self, ifindex, &v6);
                /* A kernel without IPv6 has networks without it. */
                r = r == -EOPNOTSUPP || r == -EACCES ? 0 : r;
        }
        return r == 0 ? kernel->ops->set_up(kernel->self, ifindex) : r;
}

static int ensure_bridge(Networks *networks, const Network *network, LinkInfo *ret,
                         TextError *reterr) {
        int r = add_or_find_bridge(networks, network->name, ret, reterr);

        if (r < 0)
                return r;
        r = finish_bridge(networks, network, ret);
        return r < 0 ? text_error_set(reterr, r, "set up bridge %s: %s", ret->name, strerror(-r))
                     : 0;
}

/* ---- interfaces of VMs ---- */

static int open_tap(const Kernel *kernel, const NetRequest *request, Tap *tap) {
        char name[NET_INTERFACE_MAX + 1];
        int r = -EBUSY;

        /* A CID is one VM's alone, unless there are two services. */
        if (snprintf(name, sizeof(name), "vm%u-%u", request->cid, request->index) <
            (int) sizeof(name))
                r = kernel->ops->open_tap(kernel->self, name, request->queues, tap->fds,
                                          tap->interface);
        if (r == -EBUSY)
                r = kernel->ops->open_tap(kernel->self, TAP_NAME_FREE, request->queues, tap->fds,
                                          tap->interface);
        if (r == 0)
                tap->n_fds = request->queues;
        return r;
}

static int set_up_tap(const Kernel *kernel, const NetRequest *request, uint32_t bridge, Tap *tap) {
        char alias[LINK_ALIAS_MAX + 1];
        LinkInfo link;
        int r;

        r = kernel->ops->find_link(kernel->self, tap->interface, &link);
        if (r < 0)
                return r;
        tap->ifindex = link.ifindex;
        (void) snprintf(alias, sizeof(alias), TAP_ALIAS "%s %s", request->vm_id, request->vm_name);
        r = kernel->ops->set_alias(kernel->self, link.ifindex, alias);
        if (r == 0)
                r = kernel->ops->join(kernel->self, link.ifindex, bridge, request->isolated);
        return r == 0 ? kernel->ops->set_up(kernel->self, link.ifindex) : r;
}

/**
 * networks_add_tap() - an interface for a card of a VM, up and in its bridge
 * @request: valid, of NET_REQUEST_TAP
 * @ret:     release with tap_close(), upon which it goes
 *
 * Return: 0; negative errno with a sentence. Nothing but perhaps an empty bridge remains of a failure.
 */
int networks_add_tap(Networks *networks, const NetRequest *request, Tap *ret, TextError *reterr) {
        const Network *network = settings_find(&networks->settings, request->network);
        LinkInfo bridge;
        Tap tap = {0};
        int r;

        if (!network)
                return text_error_set(reterr, -ENOENT, "there is no network \"%s\"",
                                      request->network);
        r = ensure_bridge(networks, network, &bridge, reterr);
        if (r < 0)
                return r;
        r = open_tap(&networks->kernel, request, &tap);
        if (r < 0)
                return text_error_set(reterr, r, "make a TAP interface: %s", strerror(-r));
        r = set_up_tap(&networks->kernel, request, bridge.ifindex, &tap);
        if (r < 0) {
                tap_close(&tap);
                return text_error_set(reterr, r, "put interface %s into bridge %s: %s",
                                      tap.interface, bridge.name, strerror(-r));
        }
        *ret = tap;
        return 0;
}

typedef struct Found {
        const char *vm_id; /* borrowed */
        uint32_t ifindexes[VM_NETWORKS_MAX];
        size_t n;
} Found;

static int note_tap(void *userdata, const LinkInfo *link) {
        const char *id = str_after_prefix(link->alias, TAP_ALIAS);
        Found *found = userdata;

        if (id && str_eq(link->kind, "tun") && strncmp(id, found->vm_id, NET_VM_ID_LEN) == 0 &&
            id[NET_VM_ID_LEN] == ' ' && found->n < ELEMENTSOF(found->ifindexes))
                found->ifindexes[found->n++] = link->ifindex;
        return 0;
}

/** networks_release() - remove what interfaces of a VM are left. Return: 0; negative errno with a sentence. */
int networks_release(Networks *networks, const char *vm_id, TextError *reterr) {
        const Kernel *kernel = &networks->kernel;
        Found found = {.vm_id = vm_id};
        int r;

        r = kernel->ops->each_link(kernel->self, note_tap, &found);
        for (size_t i = 0; i < found.n && r == 0; i++) {
                r = kernel->ops->delete_link(kernel->self, found.ifindexes[i]);
                r = r == -ENODEV ? 0 : r;
        }
        return r < 0 ? text_error_set(reterr, r, "remove interfaces: %s", strerror(-r)) : 0;
}

/* ---- sweeping ---- */

typedef struct Sweep {
        LinkInfo bridges[SWEPT_MAX];
        bool used[SWEPT_MAX];
        size_t n;
} Sweep;

static int note_bridge(void *userdata, const LinkInfo *link) {
        Sweep *sweep = userdata;

        if (network_of(link) && sweep->n < SWEPT_MAX)
                sweep->bridges[sweep->n++] = *link;
        return 0;
}

static int note_port(void *userdata, const LinkInfo *link) {
        Sweep *sweep = userdata;

        for (size_t i = 0; i < sweep->n && link->master != 0; i++)
                if (sweep->bridges[i].ifindex == link->master)
                        sweep->used[i] = true;
        return 0;
}

static void remove_bridge(Networks *networks, const LinkInfo *bridge) {
        const Kernel *kernel = &networks->kernel;
        int r = kernel->ops->delete_link(kernel->self, bridge->ifindex);

        if (r < 0 && r != -ENODEV)
                log_warning("remove bridge %s: %s, ignoring", bridge->name, strerror(-r));
        if (networkd_remove(networks->networkd_dir, network_of(bridge)) > 0)
                networks->reload = true;
}

/**
 * networks_sweep() - remove the bridges in which nobody is
 * @ret_bridges: those that are left
 *
 * Return: 0 or negative errno.
 */
int networks_sweep(Networks *networks, unsigned *ret_bridges) {
        const Kernel *kernel = &networks->kernel;
        _cleanup_(freep) Sweep *sweep = calloc(1, sizeof(*sweep));
        unsigned left = 0;
        int r;

        if (!sweep)
                return -ENOMEM;
        r = kernel->ops->each_link(kernel->self, note_bridge, sweep);
        if (r == 0)
                r = kernel->ops->each_link(kernel->self, note_port, sweep);
        if (r < 0)
                return r;
        for (size_t i = 0; i < sweep->n; i++)
                if (sweep->used[i])
                        left++;
                else
                        remove_bridge(networks, &sweep->bridges[i]);
        *ret_bridges = left;
        return 0;
}
