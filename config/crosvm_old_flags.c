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
#include "config/crosvm_net_flags.h"
#include "config/crosvm_pci_flags.h"
#include "config/kv_list.h"

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

/* ---- cards: --net with one key ---- */

static int parse_net_key(VmmConfig *config, const char *key, const char *value, TextError *reterr) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        _cleanup_(freep) char *list = NULL;

        kv_append(&buf, key, value);
        if (strbuf_finish(&buf, &list) < 0)
                return -ENOMEM;
        return crosvm_net_parse(config, list, reterr);
}

static int parse_tap_fd(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_net_key(config, "tap-fd", value, reterr);
}

static int parse_tap_name(VmmConfig *config, const char *value, TextError *reterr) {
        return parse_net_key(config, "tap-name", value, reterr);
}

#define OLD_FLAG(name_, letter_, metavar_, parse_, help_)                                          \
        {                                                                                          \
                .name = name_, .letter = letter_, .scope = SCOPE_RUN, .group = GROUP_OLD,          \
                .kind = FLAG_CUSTOM, .repeatable = true, .metavar = metavar_, .parse = parse_,     \
                .emit = crosvm_flag_emit_nothing, .help = help_                                    \
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
        OLD_FLAG("tap-fd", 0, "FD", parse_tap_fd, "--net tap-fd=FD"),
        OLD_FLAG("tap-name", 0, "NAME", parse_tap_name, "--net tap-name=NAME"),
        OLD_FLAG("pci-start", 0, "N", crosvm_pci_start_parse, "--pci mem=[start=N,...] up to ECAM"),
        OLD_FLAG("pcie-ecam", 0, "START,SIZE", crosvm_pcie_ecam_parse, "--pci ecam=[...]"),
        OLD_FLAG("lock-guest-memory-dontneed", 0, NULL, parse_lock, "--lock-guest-memory"),
};

const size_t crosvm_n_old_flags = ELEMENTSOF(crosvm_old_flags);
