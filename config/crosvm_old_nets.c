/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_old_nets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/crosvm_net_flags.h"
#include "config/kv_list.h"

/* ---- options that are a card each ---- */

static int parse_card(VmmConfig *config, const char *key, const char *value, TextError *reterr) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        _cleanup_(freep) char *list = NULL;
        int r;

        kv_append(&buf, key, value);
        if (strbuf_finish(&buf, &list) < 0)
                return -ENOMEM;
        r = crosvm_net_parse(config, list, reterr);
        if (r < 0)
                return r;
        config->old_nets.cards |= UINT32_C(1) << (config->n_nets - 1);
        return 0;
}

/** crosvm_old_tap_fd_parse() - --tap-fd */
int crosvm_old_tap_fd_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_card(config, "tap-fd", value, reterr);
}

/** crosvm_old_tap_name_parse() - --tap-name */
int crosvm_old_tap_name_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_card(config, "tap-name", value, reterr);
}

/* ---- options that are a card together ---- */

/** crosvm_old_host_ip_parse() - --host-ip */
int crosvm_old_host_ip_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return crosvm_net_set(&config->old_nets.made, "host-ip", value, reterr);
}

/** crosvm_old_netmask_parse() - --netmask */
int crosvm_old_netmask_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return crosvm_net_set(&config->old_nets.made, "netmask", value, reterr);
}

/** crosvm_old_mac_parse() - --mac and --mac-address */
int crosvm_old_mac_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return crosvm_net_set(&config->old_nets.made, "mac", value, reterr);
}

/* ---- options about all of these ---- */

/** crosvm_old_vq_pairs_parse() - --net-vq-pairs */
int crosvm_old_vq_pairs_parse(VmmConfig *config, const char *value, TextError *reterr) {
        return crosvm_net_set(&config->old_nets.how, "vq-pairs", value, reterr);
}

/** crosvm_old_vhost_net_parse() - --vhost-net */
int crosvm_old_vhost_net_parse(VmmConfig *config, const char *value, TextError *reterr) {
        config->old_nets.how.vhost = true;
        return 0;
}

/** crosvm_old_vhost_net_device_parse() - --vhost-net-device */
int crosvm_old_vhost_net_device_parse(VmmConfig *config, const char *value, TextError *reterr) {
        if (!*value)
                return text_error_set(reterr, -EINVAL, "the value is empty");
        config->old_nets.how.vhost_device = strdup(value);
        return config->old_nets.how.vhost_device ? 0 : -ENOMEM;
}

static int add_made(VmmConfig *config, TextError *reterr) {
        VmmNet *made = &config->old_nets.made;

        if (made->host_ip == 0 || made->netmask == 0 || !made->has_mac)
                return text_error_set(reterr, -EINVAL,
                                      "--host-ip, --netmask and --mac need each other");
        if (config->n_nets >= VMM_NETS_MAX)
                return text_error_set(reterr, -EINVAL, "--host-ip: more than %u cards",
                                      VMM_NETS_MAX);
        made->n_pairs = 1;
        made->mergeable = true;
        config->old_nets.cards |= UINT32_C(1) << config->n_nets;
        config->nets[config->n_nets++] = *made;
        *made = (VmmNet){0};
        return 0;
}

static int set_how(VmmNet *net, const VmmNet *how) {
        if (how->n_pairs > 0)
                net->n_pairs = how->n_pairs;
        net->vhost = how->vhost;
        if (!how->vhost_device)
                return 0;
        net->vhost_device = strdup(how->vhost_device);
        return net->vhost_device ? 0 : -ENOMEM;
}

/**
 * crosvm_old_nets_finish() - once all arguments are read: the cards that several of them describe
 *
 * Return: 0 with @config->old_nets empty; -EINVAL with a sentence; -ENOMEM.
 */
int crosvm_old_nets_finish(VmmConfig *config, TextError *reterr) {
        VmmOldNets *old = &config->old_nets;
        int r;

        if (old->made.make || old->made.has_mac) {
                r = add_made(config, reterr);
                if (r < 0)
                        return r;
        }
        if (old->how.vhost_device && !old->how.vhost)
                return text_error_set(reterr, -EINVAL, "--vhost-net-device: needs --vhost-net");
        if (old->cards == 0 && (old->how.n_pairs > 0 || old->how.vhost))
                return text_error_set(reterr, -EINVAL,
                                      "--%s: is about --tap-fd, --tap-name and --host-ip, and "
                                      "there is none; --net has a key for it",
                                      old->how.vhost ? "vhost-net" : "net-vq-pairs");
        for (size_t i = 0; i < config->n_nets; i++)
                if (old->cards & UINT32_C(1) << i) {
                        r = set_how(&config->nets[i], &old->how);
                        if (r < 0)
                                return r;
                }
        vmm_net_deinit(&old->how);
        old->cards = 0;
        return 0;
}
