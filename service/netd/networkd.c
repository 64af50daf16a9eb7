/* SPDX-License-Identifier: Apache-2.0 */
#include "service/netd/networkd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/netd/addresses.h"
#include "service/netd/networks.h"

#define FILE_MAX 4096u

static void format_address(const IpAddress *address, StrBuf *out) {
        char text[IP_TEXT_SIZE];

        if (address->family == 0)
                return;
        ip_format(address, text);
        strbuf_printf(out, "Address=%s\n", text);
}

/** networkd_format() - the .network file of a bridge; an address of family 0 is none */
void networkd_format(const Network *network, const IpAddress *v4, const IpAddress *v6,
                     StrBuf *out) {
        const bool has_v4 = v4->family != 0, has_v6 = v6->family != 0;
        const char *out_of_here = network->isolated ? "no" : "yes";

        strbuf_append(out, "# Written by vivarium-netd(8), and removed with the bridge.\n");
        strbuf_printf(out, "[Match]\nName=" BRIDGE_PREFIX "%s\nKind=bridge\n\n", network->name);
        strbuf_append(out, "[Link]\nRequiredForOnline=no\n\n[Network]\n");
        format_address(v4, out);
        format_address(v6, out);
        strbuf_append(out, "ConfigureWithoutCarrier=yes\nLinkLocalAddressing=ipv6\n"
                           "IPv6AcceptRA=no\nLLMNR=no\nMulticastDNS=no\n");
        if (!network->isolated)
                strbuf_append(out, "IPMasquerade=both\n");
        if (has_v4)
                strbuf_printf(out,
                              "DHCPServer=yes\n\n[DHCPServer]\nEmitRouter=%s\nEmitDNS=%s\n"
                              "EmitNTP=no\n",
                              out_of_here, out_of_here);
        if (has_v6) {
                char prefix[IP_TEXT_SIZE];
                IpAddress net;

                ip_network_of(v6, &net);
                ip_format(&net, prefix);
                strbuf_printf(out,
                              "\n[Network]\nIPv6SendRA=yes\n\n[IPv6SendRA]\n"
                              "RouterLifetimeSec=%s\nEmitDNS=%s\n\n[IPv6Prefix]\nPrefix=%s\n",
                              network->isolated ? "0" : "1800", out_of_here, prefix);
        }
}

static int path_of(const char *dir, const char *network, char **ret) {
        if (asprintf(ret, "%s/70-" BRIDGE_PREFIX "%s.network", dir, network) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

static bool has_text(const char *path, const char *text, size_t len) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        _cleanup_(freep) char *old = NULL;
        size_t old_len;

        return fd >= 0 && fd_read_bounded(fd, FILE_MAX, &old, &old_len) == 0 && old_len == len &&
               memcmp(old, text, len) == 0;
}

/* Beside it and renamed, so that nobody reads half of it. It is systemd-network's to read. */
static int replace(const char *path, const char *text, size_t len) {
        _cleanup_(freep) char *beside = NULL;
        _cleanup_(fd_closep) int fd = -EBADF;
        int r;

        if (asprintf(&beside, "%s.new", path) < 0) {
                beside = NULL;
                return -ENOMEM;
        }
        fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        r = fchmod(fd, 0644) < 0 ? -errno : fd_write_all(fd, text, len);
        if (r == 0 && rename(beside, path) < 0)
                r = -errno;
        if (r < 0)
                (void) unlink(beside);
        return r;
}

/**
 * networkd_write() - see to it that the file of @network is there
 * @dir: made if it is not there, its parent is; where that is not, there is no systemd
 *
 * Return: 1 when it was written; 0 when it was there, or could not be written, which costs a warning; -ENOMEM.
 */
int networkd_write(const char *dir, const Network *network, const IpAddress *v4,
                   const IpAddress *v6) {
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        _cleanup_(freep) char *path = NULL;
        int r;

        networkd_format(network, v4, v6, &text);
        if (text.failed || path_of(dir, network->name, &path) < 0)
                return -ENOMEM;
        if (has_text(path, text.data, text.len))
                return 0;
        r = mkdir(dir, 0755) < 0 && errno != EEXIST ? -errno : replace(path, text.data, text.len);
        if (r < 0)
                log_warning("write %s: %s; guests of network \"%s\" get no addresses by DHCP", path,
                            strerror(-r), network->name);
        return r < 0 ? 0 : 1;
}

/** networkd_remove() - the opposite. Return: 1 when it was there, else 0; -ENOMEM. */
int networkd_remove(const char *dir, const char *network) {
        _cleanup_(freep) char *path = NULL;

        if (path_of(dir, network, &path) < 0)
                return -ENOMEM;
        return unlink(path) == 0 ? 1 : 0;
}
