/* SPDX-License-Identifier: Apache-2.0 */
#include "service/netd/rtnl.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/inet6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "service/netd/tun.h"

/*
 * The kernel works a request off in the system call that sends it, so its answer is there when that returns, and no
 * call here waits for anybody else. The limit of time on reading is for a kernel that has lost a message.
 */

#define ANSWER_TIMEOUT_SEC 5

struct Rtnl {
        struct nl_sock *requests; /* owned */
        struct nl_sock *events;   /* owned; NULL until rtnl_watch() */
};

/* libnl has its own numbers, and one for several of the kernel's. */
static int errno_of(int nl) {
        switch (-nl) {
        case 0:
                return 0;
        case NLE_NODEV:
        case NLE_OBJ_NOTFOUND:
                return -ENODEV;
        case NLE_EXIST:
                return -EEXIST;
        case NLE_BUSY:
                return -EBUSY;
        case NLE_PERM:
                return -EPERM;
        case NLE_NOACCESS:
                return -EACCES;
        case NLE_NOMEM:
                return -ENOMEM;
        case NLE_OPNOTSUPP:
                return -EOPNOTSUPP;
        case NLE_AGAIN:
                return -ETIMEDOUT;
        case NLE_INVAL:
        case NLE_RANGE:
                return -EINVAL;
        default:
                return -EIO;
        }
}

static void link_putp(struct rtnl_link **link) {
        rtnl_link_put(*link);
}

static void cache_freep(struct nl_cache **cache) {
        nl_cache_free(*cache);
}

static void msg_freep(struct nl_msg **msg) {
        nlmsg_free(*msg);
}

static void addr_putp(struct nl_addr **addr) {
        nl_addr_put(*addr);
}

static void rtnl_addr_putp(struct rtnl_addr **addr) {
        rtnl_addr_put(*addr);
}

static void copy_text(char *to, size_t size, const char *from) {
        (void) snprintf(to, size, "%s", from ?: "");
}

static void describe(struct rtnl_link *link, LinkInfo *ret) {
        *ret = (LinkInfo){.ifindex = (uint32_t) rtnl_link_get_ifindex(link),
                          .master = (uint32_t) rtnl_link_get_master(link)};
        copy_text(ret->name, sizeof(ret->name), rtnl_link_get_name(link));
        copy_text(ret->kind, sizeof(ret->kind), rtnl_link_get_type(link));
        copy_text(ret->alias, sizeof(ret->alias), rtnl_link_get_ifalias(link));
}

static int find_link(void *self, const char *name, LinkInfo *ret) {
        _cleanup_(link_putp) struct rtnl_link *link = NULL;
        Rtnl *rtnl = self;
        int r = errno_of(rtnl_link_get_kernel(rtnl->requests, 0, name, &link));

        if (r < 0)
                return r;
        describe(link, ret);
        return 0;
}

static int each_link(void *self, LinkFn fn, void *userdata) {
        _cleanup_(cache_freep) struct nl_cache *cache = NULL;
        Rtnl *rtnl = self;
        int r = errno_of(rtnl_link_alloc_cache(rtnl->requests, AF_UNSPEC, &cache));

        for (struct nl_object *o = r == 0 ? nl_cache_get_first(cache) : NULL; o && r == 0;
             o = nl_cache_get_next(o)) {
                LinkInfo info;

                describe((struct rtnl_link *) o, &info);
                r = fn(userdata, &info);
        }
        return r;
}

static int take_address(struct rtnl_addr *addr, AddressFn fn, void *userdata) {
        struct nl_addr *local = rtnl_addr_get_local(addr);
        IpAddress ip = {.family = rtnl_addr_get_family(addr)};

        if (!local || (ip.family != AF_INET && ip.family != AF_INET6) ||
            nl_addr_get_len(local) > sizeof(ip.in6))
                return 0;
        ip.prefix_len = (unsigned) rtnl_addr_get_prefixlen(addr);
        memcpy(&ip.in6, nl_addr_get_binary_addr(local), nl_addr_get_len(local));
        return fn(userdata, (uint32_t) rtnl_addr_get_ifindex(addr), &ip);
}

static int each_address(void *self, AddressFn fn, void *userdata) {
        _cleanup_(cache_freep) struct nl_cache *cache = NULL;
        Rtnl *rtnl = self;
        int r = errno_of(rtnl_addr_alloc_cache(rtnl->requests, &cache));

        for (struct nl_object *o = r == 0 ? nl_cache_get_first(cache) : NULL; o && r == 0;
             o = nl_cache_get_next(o))
                r = take_address((struct rtnl_addr *) o, fn, userdata);
        return r;
}

static int add_bridge(void *self, const char *name, const uint8_t mac[static MAC_LEN]) {
        _cleanup_(link_putp) struct rtnl_link *link = rtnl_link_bridge_alloc();
        _cleanup_(addr_putp) struct nl_addr *address = nl_addr_build(AF_LLC, mac, MAC_LEN);
        Rtnl *rtnl = self;

        if (!link || !address)
                return -ENOMEM;
        rtnl_link_set_name(link, name);
        rtnl_link_set_addr(link, address);
        return errno_of(rtnl_link_add(rtnl->requests, link, NLM_F_CREATE | NLM_F_EXCL));
}

/* Sends what @change has set. The link is named by its index alone, which nobody else gets while it exists. */
static int change_link(Rtnl *rtnl, uint32_t ifindex, struct rtnl_link *change) {
        _cleanup_(link_putp) struct rtnl_link *which = rtnl_link_alloc();

        if (!which)
                return -ENOMEM;
        rtnl_link_set_ifindex(which, (int) ifindex);
        return errno_of(rtnl_link_change(rtnl->requests, which, change, 0));
}

static int set_alias(void *self, uint32_t ifindex, const char *alias) {
        _cleanup_(link_putp) struct rtnl_link *change = rtnl_link_alloc();

        if (!change)
                return -ENOMEM;
        rtnl_link_set_ifalias(change, alias);
        return change_link(self, ifindex, change);
}

static int set_up(void *self, uint32_t ifindex) {
        _cleanup_(link_putp) struct rtnl_link *change = rtnl_link_alloc();

        if (!change)
                return -ENOMEM;
        rtnl_link_set_flags(change, IFF_UP);
        return change_link(self, ifindex, change);
}

/* libnl 3.7 has no name for this property of a bridge's port. */
static int isolate(Rtnl *rtnl, uint32_t ifindex) {
        struct ifinfomsg head = {.ifi_family = AF_BRIDGE, .ifi_index = (int) ifindex};
        _cleanup_(msg_freep) struct nl_msg *msg = nlmsg_alloc_simple(RTM_SETLINK, 0);
        struct nlattr *port;

        if (!msg || nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) < 0)
                return -ENOMEM;
        port = nla_nest_start(msg, IFLA_PROTINFO | NLA_F_NESTED);
        if (!port || nla_put_u8(msg, IFLA_BRPORT_ISOLATED, 1) < 0)
                return -ENOMEM;
        nla_nest_end(msg, port);
        return errno_of(nl_send_sync(rtnl->requests, TAKE(msg)));
}

static int join(void *self, uint32_t ifindex, uint32_t master, bool isolated) {
        _cleanup_(link_putp) struct rtnl_link *change = rtnl_link_alloc();
        int r;

        if (!change)
                return -ENOMEM;
        /* The guest has the address of that name, not the host's end of it. */
        if (rtnl_link_inet6_set_addr_gen_mode(change, IN6_ADDR_GEN_MODE_NONE) < 0)
                return -ENOMEM;
        r = change_link(self, ifindex, change);
        if (r < 0 && r != -EOPNOTSUPP)
                return r;
        r = errno_of(
                rtnl_link_enslave_ifindex(((Rtnl *) self)->requests, (int) master, (int) ifindex));
        return r < 0 || !isolated ? r : isolate(self, ifindex);
}

static int add_address(void *self, uint32_t ifindex, const IpAddress *address) {
        const size_t len = address->family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
        _cleanup_(addr_putp) struct nl_addr *local =
                nl_addr_build(address->family, &address->in6, len);
        _cleanup_(rtnl_addr_putp) struct rtnl_addr *addr = rtnl_addr_alloc();
        Rtnl *rtnl = self;

        if (!local || !addr)
                return -ENOMEM;
        nl_addr_set_prefixlen(local, (int) address->prefix_len);
        rtnl_addr_set_ifindex(addr, (int) ifindex);
        if (rtnl_addr_set_local(addr, local) < 0)
                return -EINVAL;
        /* Nobody else is in a bridge that was just made. */
        if (address->family == AF_INET6)
                rtnl_addr_set_flags(addr, IFA_F_NODAD);
        return errno_of(rtnl_addr_add(rtnl->requests, addr, NLM_F_CREATE | NLM_F_REPLACE));
}

static int delete_link(void *self, uint32_t ifindex) {
        _cleanup_(link_putp) struct rtnl_link *link = rtnl_link_alloc();
        Rtnl *rtnl = self;

        if (!link)
                return -ENOMEM;
        rtnl_link_set_ifindex(link, (int) ifindex);
        return errno_of(rtnl_link_delete(rtnl->requests, link));
}

static int open_tap(void *self, const char *name, unsigned n, int *fds,
                    char ret_name[static NET_INTERFACE_MAX + 1]) {
        return tun_open(name, n, fds, ret_name);
}

static const KernelOps rtnl_ops = {
        .find_link = find_link,
        .each_link = each_link,
        .each_address = each_address,
        .add_bridge = add_bridge,
        .set_alias = set_alias,
        .set_up = set_up,
        .join = join,
        .add_address = add_address,
        .delete_link = delete_link,
        .open_tap = open_tap,
};

static int connect_route(struct nl_sock **ret) {
        const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_SEC};
        struct nl_sock *sock = nl_socket_alloc();
        int r;

        if (!sock)
                return -ENOMEM;
        r = errno_of(nl_connect(sock, NETLINK_ROUTE));
        if (r == 0 && setsockopt(nl_socket_get_fd(sock), SOL_SOCKET, SO_RCVTIMEO, &timeout,
                                 sizeof(timeout)) < 0)
                r = -errno;
        if (r < 0) {
                nl_socket_free(sock);
                return r;
        }
        *ret = sock;
        return 0;
}

/** rtnl_new() - a connection to the kernel's networks, those of the caller's namespace. Return: 0 or negative errno. */
int rtnl_new(Rtnl **ret) {
        _cleanup_(rtnl_freep) Rtnl *rtnl = calloc(1, sizeof(*rtnl));
        int r;

        if (!rtnl)
                return -ENOMEM;
        r = connect_route(&rtnl->requests);
        if (r < 0)
                return r;
        *ret = TAKE(rtnl);
        return 0;
}

/** rtnl_free() - close both sockets. @rtnl may be NULL. Return: NULL. */
Rtnl *rtnl_free(Rtnl *rtnl) {
        if (!rtnl)
                return NULL;
        nl_socket_free(rtnl->requests);
        nl_socket_free(rtnl->events);
        free(rtnl);
        return NULL;
}

/** rtnl_kernel() - as the table; borrows @rtnl */
Kernel rtnl_kernel(Rtnl *rtnl) {
        return (Kernel){&rtnl_ops, rtnl};
}

/**
 * rtnl_watch() - hear of interfaces that come and go
 * @ret_fd: borrowed; readable when one did, upon which rtnl_take_events() is due
 *
 * Return: 0 or negative errno.
 */
int rtnl_watch(Rtnl *rtnl, int *ret_fd) {
        int r = connect_route(&rtnl->events);

        if (r == 0)
                r = errno_of(nl_socket_add_memberships(rtnl->events, RTNLGRP_LINK, 0));
        if (r == 0)
                r = errno_of(nl_socket_set_nonblocking(rtnl->events));
        if (r == 0)
                *ret_fd = nl_socket_get_fd(rtnl->events);
        return r;
}

/**
 * rtnl_take_events() - read all there is. Return: whether an interface went, or may have.
 *
 * Too many at once are lost (ENOBUFS), and may have been of that kind.
 */
bool rtnl_take_events(Rtnl *rtnl) {
        const int fd = nl_socket_get_fd(rtnl->events);
        char buf[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
        bool gone = false;

        for (;;) {
                ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == ENOBUFS) {
                        gone = true;
                        continue;
                }
                if (n <= 0)
                        return gone;
                for (struct nlmsghdr *h = (struct nlmsghdr *) (void *) buf; nlmsg_ok(h, (int) n);
                     h = nlmsg_next(h, (int *) &n))
                        gone = gone || h->nlmsg_type == RTM_DELLINK;
        }
}
