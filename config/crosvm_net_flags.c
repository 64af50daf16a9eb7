/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_net_flags.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/crosvm_pci_flags.h"
#include "config/kv_list.h"
#include "config/mac.h"

static int set_tap_fd(void *object, const KvItem *item, TextError *reterr) {
        _cleanup_(strvec_deinit) StrVec numbers = {0};
        VmmNet *net = object;
        int r;

        r = kv_get_strings(item, VMM_NET_PAIRS_MAX, &numbers, reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < numbers.n; i++)
                if (parse_fd(numbers.items[i], &net->tap_fds[i]) < 0)
                        return text_error_set(reterr, -EINVAL, "expected a descriptor, not '%s'",
                                              numbers.items[i]);
        net->n_tap_fds = numbers.n;
        return 0;
}

static int set_tap_name(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmNet *) object)->tap_name, reterr);
}

static int set_user(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmNet *) object)->user, reterr);
}

static int set_mac(void *object, const KvItem *item, TextError *reterr) {
        VmmNet *net = object;

        if (!item->value || !mac_parse(item->value, net->mac))
                return text_error_set(reterr, -EINVAL,
                                      "expected six bytes as 02:00:00:00:00:01, not '%s'",
                                      item->value ?: "");
        net->has_mac = true;
        return 0;
}

static int get_ipv4(const KvItem *item, uint32_t *ret, TextError *reterr) {
        struct in_addr address;

        if (!item->value || inet_pton(AF_INET, item->value, &address) != 1 || address.s_addr == 0)
                return text_error_set(reterr, -EINVAL, "expected four bytes as 192.0.2.1, not '%s'",
                                      item->value ?: "");
        *ret = address.s_addr;
        return 0;
}

static int set_host_ip(void *object, const KvItem *item, TextError *reterr) {
        VmmNet *net = object;

        net->make = true;
        return get_ipv4(item, &net->host_ip, reterr);
}

static int set_netmask(void *object, const KvItem *item, TextError *reterr) {
        VmmNet *net = object;

        net->make = true;
        return get_ipv4(item, &net->netmask, reterr);
}

static int set_vq_pairs(void *object, const KvItem *item, TextError *reterr) {
        VmmNet *net = object;
        uint64_t n;
        int r;

        r = kv_get_u64(item, 1, VMM_NET_PAIRS_MAX, &n, reterr);
        if (r < 0)
                return r;
        net->n_pairs = (unsigned) n;
        return 0;
}

static int set_mergeable(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmNet *) object)->mergeable, reterr);
}

static int set_packed(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_bool(item, &((VmmNet *) object)->packed, reterr);
}

static int set_vhost_device(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_string(item, &((VmmNet *) object)->vhost_device, reterr);
}

/* "vhost-net", "vhost-net=BOOL" or "vhost-net=[device=PATH]". */
static int set_vhost(void *object, const KvItem *item, TextError *reterr) {
        static const KvField fields[] = {{"device", set_vhost_device, 0}};
        _cleanup_(freep) char *inner = NULL;
        VmmNet *net = object;

        if (!item->list)
                return kv_get_bool(item, &net->vhost, reterr);
        net->vhost = true;
        inner = strndup(item->value + 1, strlen(item->value) - 2);
        if (!inner)
                return -ENOMEM;
        return kv_apply(inner, NULL, fields, ELEMENTSOF(fields), net, reterr);
}

static bool parse_port(const char *text, uint16_t *ret) {
        uint32_t port;

        if (parse_u32(text, &port) < 0 || port < 1 || port > UINT16_MAX)
                return false;
        *ret = (uint16_t) port;
        return true;
}

/* Cuts the last ":PORT" off @text. */
static bool take_port(char *text, uint16_t *ret) {
        char *colon = strrchr(text, ':');

        if (!colon || !parse_port(colon + 1, ret))
                return false;
        *colon = '\0';
        return true;
}

/**
 * crosvm_forward_parse() - "tcp:HOST:GUEST" or "tcp:ADDRESS:HOST:GUEST", and udp
 * @ret: its address is the caller's to free
 *
 * Return: 0; -EINVAL; -ENOMEM.
 */
int crosvm_forward_parse(const char *text, VmmForward *ret) {
        _cleanup_(freep) char *copy = strdup(text);
        VmmForward forward = {0};
        const char *rest;

        if (!copy)
                return -ENOMEM;
        if (!take_port(copy, &forward.guest_port) || !take_port(copy, &forward.host_port))
                return -EINVAL;
        rest = str_after_prefix(copy, "tcp");
        if (!rest) {
                rest = str_after_prefix(copy, "udp");
                forward.udp = true;
        }
        /* The address becomes part of a list of the helper's. */
        if (!rest || (*rest && (*rest != ':' || !rest[1] || strpbrk(rest + 1, ",/~ "))))
                return -EINVAL;
        if (*rest) {
                forward.address = strdup(rest + 1);
                if (!forward.address)
                        return -ENOMEM;
        }
        *ret = forward;
        return 0;
}

static int set_forward(void *object, const KvItem *item, TextError *reterr) {
        VmmNet *net = object;
        VmmForward *forwards;
        int r;

        if (net->n_forwards >= VMM_FORWARDS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u ports", VMM_FORWARDS_MAX);
        forwards = reallocarray(net->forwards, net->n_forwards + 1, sizeof(*forwards));
        if (!forwards)
                return -ENOMEM;
        net->forwards = forwards;
        r = item->value ? crosvm_forward_parse(item->value, &net->forwards[net->n_forwards])
                        : -EINVAL;
        if (r == -EINVAL)
                return text_error_set(reterr, r, "expected tcp:HOST:GUEST or udp:…, not '%s'",
                                      item->value ?: "");
        if (r < 0)
                return r;
        net->n_forwards++;
        return 0;
}

static int set_address(void *object, const KvItem *item, TextError *reterr) {
        return crosvm_pci_address_set(item, &((VmmNet *) object)->pci_slot, reterr);
}

static const KvField net_fields[] = {
        {"tap-fd", set_tap_fd, KV_LIST},
        {"tap-name", set_tap_name, 0},
        {"user", set_user, 0},
        {"forward", set_forward, KV_REPEATABLE},
        {"mac", set_mac, 0},
        {"vq-pairs", set_vq_pairs, 0},
        {"mrg-rxbuf", set_mergeable, 0},
        {"vhost-net", set_vhost, KV_LIST},
        {"host-ip", set_host_ip, 0},
        {"netmask", set_netmask, 0},
        {"packed-queue", set_packed, 0},
        {"pci-address", set_address, 0},
};

/** crosvm_net_set() - one @key of --net, such as "host-ip", that came as an option of its own */
int crosvm_net_set(VmmNet *net, const char *key, const char *value, TextError *reterr) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        _cleanup_(freep) char *list = NULL;

        kv_append(&buf, key, value);
        if (strbuf_finish(&buf, &list) < 0)
                return -ENOMEM;
        return kv_apply(list, NULL, net_fields, ELEMENTSOF(net_fields), net, reterr);
}

/** crosvm_net_parse() - add the card that one --net value describes */
int crosvm_net_parse(VmmConfig *config, const char *value, TextError *reterr) {
        _cleanup_(vmm_net_deinit) VmmNet net;
        int r;

        vmm_net_init(&net);
        if (config->n_nets >= VMM_NETS_MAX)
                return text_error_set(reterr, -EINVAL, "more than %u cards", VMM_NETS_MAX);
        r = kv_apply(value, NULL, net_fields, ELEMENTSOF(net_fields), &net, reterr);
        if (r < 0)
                return r;
        config->nets[config->n_nets++] = net;
        net = (VmmNet){0};
        return 0;
}

static void append_tap_fds(StrBuf *buf, const VmmNet *net) {
        strbuf_append(buf, net->n_tap_fds > 1 ? "tap-fd=[" : "tap-fd=");
        for (size_t i = 0; i < net->n_tap_fds; i++)
                strbuf_printf(buf, "%s%d", i > 0 ? "," : "", net->tap_fds[i]);
        strbuf_append(buf, net->n_tap_fds > 1 ? "]" : "");
}

static void append_forwards(StrBuf *buf, const VmmNet *net) {
        for (size_t i = 0; i < net->n_forwards; i++) {
                const VmmForward *f = &net->forwards[i];

                strbuf_printf(buf, ",forward=%s:%s%s%u:%u", f->udp ? "udp" : "tcp",
                              f->address ?: "", f->address ? ":" : "", f->host_port, f->guest_port);
        }
}

static void append_address(StrBuf *buf, const char *key, uint32_t address) {
        char text[INET_ADDRSTRLEN];

        kv_append(buf, key, inet_ntop(AF_INET, &address, text, sizeof(text)));
}

/** crosvm_net_emit() - the --net value of one card; defaults are left out */
int crosvm_net_emit(const VmmNet *net, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};

        if (net->n_tap_fds > 0)
                append_tap_fds(&buf, net);
        else if (net->tap_name)
                kv_append(&buf, "tap-name", net->tap_name);
        else if (net->make) {
                append_address(&buf, "host-ip", net->host_ip);
                append_address(&buf, "netmask", net->netmask);
        } else
                kv_append_flag(&buf, "user");
        append_forwards(&buf, net);
        if (net->has_mac) {
                char mac[MAC_TEXT_SIZE];

                mac_format(net->mac, mac);
                strbuf_printf(&buf, ",mac=%s", mac);
        }
        if (net->n_pairs != 1)
                strbuf_printf(&buf, ",vq-pairs=%u", net->n_pairs);
        crosvm_pci_address_append(&buf, net->pci_slot);
        if (!net->mergeable)
                kv_append(&buf, "mrg-rxbuf", "false");
        if (net->packed)
                kv_append_flag(&buf, "packed-queue");
        if (net->vhost && net->vhost_device) {
                _cleanup_(strbuf_deinit) StrBuf inner = {0};
                _cleanup_(freep) char *text = NULL;

                kv_append(&inner, "device", net->vhost_device);
                if (strbuf_finish(&inner, &text) < 0)
                        return -ENOMEM;
                strbuf_printf(&buf, ",vhost-net=[%s]", text);
        } else if (net->vhost)
                kv_append_flag(&buf, "vhost-net");
        return strbuf_finish(&buf, ret);
}
