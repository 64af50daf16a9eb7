/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Spellings of older versions of crosvm that managers still pass. Each is one of today's options with less to say, and
 * is emitted as that.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/crosvm_device_flags.h"
#include "config/crosvm_flag_table.h"
#include "config/crosvm_old_nets.h"
#include "config/crosvm_pci_flags.h"
#include "config/crosvm_vhost_user_flags.h"

/* ---- disks: --block without the choice ---- */

static int parse_disk(VmmConfig *config, const char *value, bool read_only, bool root,
                      TextError *reterr) {
        int r = crosvm_block_parse(config, value, reterr);

        if (r < 0)
                return r;
        config->disks[config->n_disks - 1].read_only = read_only;
        config->disks[config->n_disks - 1].root = root;
        return 0;
}

static int parse_ro_disk(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_disk(config, value, /* read_only= */ true, /* root= */ false, reterr);
}

static int parse_rw_disk(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_disk(config, value, /* read_only= */ false, /* root= */ false, reterr);
}

static int parse_ro_root(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_disk(config, value, /* read_only= */ true, /* root= */ true, reterr);
}

static int parse_rw_root(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_disk(config, value, /* read_only= */ false, /* root= */ true, reterr);
}

#define OLD_FLAG_TIMES(repeatable_, name_, letter_, metavar_, parse_, help_)                       \
        {                                                                                          \
                .name = name_, .letter = letter_, .scope = SCOPE_RUN, .group = GROUP_OLD,          \
                .kind = FLAG_CUSTOM, .repeatable = repeatable_, .metavar = metavar_,               \
                .parse = parse_, .emit = crosvm_flag_emit_nothing, .help = help_                   \
        }
#define OLD_FLAG(...) OLD_FLAG_TIMES(true, __VA_ARGS__)
#define OLD_NET_FLAG(name_, metavar_, parse_, help_)                                               \
        OLD_FLAG_TIMES(false, name_, 0, metavar_, parse_, help_)

/* crosvm had the device before it had a choice of hypervisors. */
static int parse_kvm_device(VmmConfig *config, const char *value, TextError *reterr) {
        if (!*value)
                return text_error_set(reterr, -EINVAL, "the value is empty");
        if (config->kvm_device)
                return text_error_set(reterr, -EINVAL, "the device is given twice");
        config->hypervisor = VMM_HYPERVISOR_KVM;
        config->kvm_device = strdup(value);
        return config->kvm_device ? 0 : -ENOMEM;
}

static int parse_lock(VmmConfig *config, const char *value, TextError *reterr) {
        config->lock_guest_memory = true;
        return 0;
}

const Flag crosvm_old_flags[] = {
        OLD_FLAG("disk", 'd', "LIST", parse_ro_disk, "--block LIST,ro"),
        OLD_FLAG("rwdisk", 0, "LIST", parse_rw_disk, "--block LIST"),
        OLD_FLAG("root", 'r', "LIST", parse_ro_root, "--block LIST,ro,root"),
        OLD_FLAG("rwroot", 0, "LIST", parse_rw_root, "--block LIST,root"),
        OLD_FLAG("tap-fd", 0, "FD", crosvm_old_tap_fd_parse, "--net tap-fd=FD"),
        OLD_FLAG("tap-name", 0, "NAME", crosvm_old_tap_name_parse, "--net tap-name=NAME"),
        OLD_NET_FLAG("host-ip", "ADDRESS", crosvm_old_host_ip_parse,
                     "--net host-ip=, with the two below"),
        OLD_NET_FLAG("netmask", "MASK", crosvm_old_netmask_parse, "--net netmask="),
        OLD_NET_FLAG("mac", "ADDRESS", crosvm_old_mac_parse, "--net mac= beside host-ip="),
        OLD_NET_FLAG("mac-address", "ADDRESS", crosvm_old_mac_parse, "the same"),
        OLD_NET_FLAG("net-vq-pairs", "N", crosvm_old_vq_pairs_parse,
                     "--net vq-pairs= of the cards above"),
        OLD_NET_FLAG("vhost-net", NULL, crosvm_old_vhost_net_parse,
                     "--net vhost-net of the cards above"),
        OLD_NET_FLAG("vhost-net-device", "PATH", crosvm_old_vhost_net_device_parse, "its device="),
        OLD_FLAG("vhost-user-blk", 0, "LIST", crosvm_vhost_user_blk_parse,
                 "--vhost-user block,LIST"),
        OLD_FLAG("vhost-user-console", 0, "LIST", crosvm_vhost_user_console_parse,
                 "--vhost-user console,LIST"),
        OLD_FLAG("vhost-user-net", 0, "LIST", crosvm_vhost_user_net_parse, "--vhost-user net,LIST"),
        OLD_FLAG("vhost-user-vsock", 0, "LIST", crosvm_vhost_user_vsock_parse,
                 "--vhost-user vsock,LIST"),
        OLD_FLAG("pci-start", 0, "N", crosvm_pci_start_parse, "--pci mem=[start=N,...] up to ECAM"),
        OLD_FLAG("pcie-ecam", 0, "START,SIZE", crosvm_pcie_ecam_parse, "--pci ecam=[...]"),
        OLD_FLAG_TIMES(false, "kvm-device", 0, "PATH", parse_kvm_device,
                       "--hypervisor kvm[device=PATH]"),
        OLD_FLAG("lock-guest-memory-dontneed", 0, NULL, parse_lock, "--lock-guest-memory"),
};

const size_t crosvm_n_old_flags = ELEMENTSOF(crosvm_old_flags);
