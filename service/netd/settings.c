/* SPDX-License-Identifier: Apache-2.0 */
#include "service/netd/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"
#include "config/ini.h"
#include "service/netd/addresses.h"

#define POOL "10.86.0.0/16"

static Network *add(Settings *settings, const char *name) {
        Network *network = &settings->networks[settings->n_networks++];

        *network = (Network){.dhcp = true, .v4_choice = IP_AUTO, .v6_choice = IP_AUTO};
        memcpy(network->name, name, strlen(name) + 1);
        return network;
}

/** settings_init() - what there is without a file: the network "default", with everything chosen */
void settings_init(Settings *settings) {
        *settings = (Settings){0};
        (void) ip_parse(POOL, AF_INET, &settings->pool);
        (void) add(settings, VM_NETWORK_NAME_DEFAULT);
}

static Network *find(Settings *settings, const char *name) {
        for (size_t i = 0; i < settings->n_networks; i++)
                if (str_eq(settings->networks[i].name, name))
                        return &settings->networks[i];
        return NULL;
}

/** settings_find() - borrowed; NULL if there is no network called @name */
const Network *settings_find(const Settings *settings, const char *name) {
        for (size_t i = 0; i < settings->n_networks; i++)
                if (str_eq(settings->networks[i].name, name))
                        return &settings->networks[i];
        return NULL;
}

static int set_address(const char *value, int family, IpChoice *choice, IpAddress *address,
                       TextError *reterr) {
        *choice = str_eq(value, "auto") ? IP_AUTO : str_eq(value, "none") ? IP_NONE : IP_GIVEN;
        if (*choice != IP_GIVEN || ip_parse(value, family, address) == 0)
                return 0;
        return text_error_set(reterr, -EINVAL,
                              "expected auto, none or the host's address and the length of the "
                              "prefix, not \"%s\"",
                              value);
}

static int set_choice(const char *value, const char *no, const char *yes, bool *ret,
                      TextError *reterr) {
        if (!str_eq(value, no) && !str_eq(value, yes))
                return text_error_set(reterr, -EINVAL, "expected %s or %s, not \"%s\"", yes, no,
                                      value);
        *ret = str_eq(value, yes);
        return 0;
}

static int set_in_network(Network *network, const char *key, const char *value, TextError *reterr) {
        if (str_eq(key, "Mode"))
                return set_choice(value, "nat", "isolated", &network->isolated, reterr);
        if (str_eq(key, "DHCP"))
                return set_choice(value, "no", "yes", &network->dhcp, reterr);
        if (str_eq(key, "IPv4"))
                return set_address(value, AF_INET, &network->v4_choice, &network->v4, reterr);
        if (str_eq(key, "IPv6"))
                return set_address(value, AF_INET6, &network->v6_choice, &network->v6, reterr);
        return text_error_set(reterr, -EINVAL, "unknown key");
}

static int begin_network(Settings *settings, const char *name, TextError *reterr) {
        if (!vm_network_name_is_valid(name))
                return text_error_set(reterr, -EINVAL,
                                      "[Network %s]: a name is 1 to %u of a-z 0-9 -", name,
                                      VM_NETWORK_NAME_MAX);
        if (find(settings, name))
                return 0;
        if (settings->n_networks >= NETWORKS_MAX)
                return text_error_set(reterr, -E2BIG, "more than %u networks", NETWORKS_MAX);
        (void) add(settings, name);
        return 0;
}

static int set_pool(Settings *settings, const char *value, TextError *reterr) {
        IpAddress pool;

        if (ip_parse(value, AF_INET, &pool) < 0 || pool.prefix_len < 8 || pool.prefix_len > 24)
                return text_error_set(reterr, -EINVAL,
                                      "expected a network with a prefix of 8 to 24 bits, not "
                                      "\"%s\"",
                                      value);
        ip_network_of(&pool, &settings->pool);
        return 0;
}

static int take_line(void *userdata, const char *section, const char *key, const char *value,
                     TextError *reterr) {
        const char *name = str_after_prefix(section, "Network ");
        Settings *settings = userdata;
        int r;

        if (!key && name)
                return begin_network(settings, name, reterr);
        if (!key)
                return str_eq(section, "Pool")
                               ? 0
                               : text_error_set(reterr, -EINVAL, "[%s]: unknown section", section);
        if (name)
                r = set_in_network(find(settings, name), key, value, reterr);
        else if (str_eq(section, "Pool") && str_eq(key, "IPv4"))
                r = set_pool(settings, value, reterr);
        else
                r = text_error_set(reterr, -EINVAL, "unknown key");
        return r < 0 ? text_error_prefix(reterr, r, "%s=", key) : 0;
}

static int check_overlaps(const Settings *settings, TextError *reterr) {
        for (size_t i = 0; i < settings->n_networks; i++)
                for (size_t j = 0; j < i; j++) {
                        const Network *a = &settings->networks[i], *b = &settings->networks[j];

                        if ((a->v4_choice == IP_GIVEN && b->v4_choice == IP_GIVEN &&
                             ip_overlaps(&a->v4, &b->v4)) ||
                            (a->v6_choice == IP_GIVEN && b->v6_choice == IP_GIVEN &&
                             ip_overlaps(&a->v6, &b->v6)))
                                return text_error_set(reterr, -EINVAL,
                                                      "[Network %s] and [Network %s] overlap",
                                                      b->name, a->name);
                }
        return 0;
}

/**
 * settings_parse() - the text of netd.conf
 *
 * Return: 0; -EINVAL or -E2BIG with a sentence; -ENOMEM.
 */
int settings_parse(const char *text, size_t len, Settings *ret, TextError *reterr) {
        _cleanup_(freep) Settings *settings = malloc(sizeof(*settings));
        int r;

        if (!settings)
                return -ENOMEM;
        settings_init(settings);
        r = ini_parse(text, len, take_line, settings, reterr);
        if (r == 0)
                r = check_overlaps(settings, reterr);
        if (r == 0)
                *ret = *settings;
        return r;
}

/** settings_load() - from a file, which need not be there. Return: as settings_parse(), with the path. */
int settings_load(const char *path, Settings *ret, TextError *reterr) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_(freep) char *text = NULL;
        size_t len = 0;
        int r;

        if (fd < 0 && errno == ENOENT) {
                settings_init(ret);
                return 0;
        }
        r = fd < 0 ? -errno : fd_read_bounded(fd, INI_BYTES_MAX, &text, &len);
        if (r < 0)
                return text_error_set(reterr, r, "%s: %s", path, strerror(-r));
        r = settings_parse(text, len, ret, reterr);
        return r < 0 ? text_error_prefix(reterr, r, "%s", path) : 0;
}
