/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/cmdline.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/mem/memmap.h"

/*
 * Whether any of the owner's words starts with @key, "root=" for instance. Words are separated by spaces; a quoted
 * value with such a word inside counts as well, which costs nothing but our default.
 */
static bool cmdline_params_have(const StrVec *params, const char *key) {
        size_t len = strlen(key);

        for (size_t i = 0; params && i < params->n; i++)
                for (const char *at = params->items[i]; (at = strstr(at, key)); at += len)
                        if (at == params->items[i] || at[-1] == ' ')
                                return true;
        return false;
}

static void cmdline_add_root(StrBuf *line, const BootConfig *config) {
        if (config->root == BOOT_ROOT_NONE || cmdline_params_have(config->params, "root="))
                return;
        if (config->root == BOOT_ROOT_PMEM)
                strbuf_printf(line, " root=/dev/pmem%u", config->root_index);
        else
                strbuf_printf(line, " root=/dev/%cd%c", config->root == BOOT_ROOT_SCSI ? 's' : 'v',
                              (int) ('a' + config->root_index));
        strbuf_append(line, config->root_read_only ? " ro" : " rw");
}

static void cmdline_add_console(StrBuf *line, const BootConfig *config) {
        if (config->console && !cmdline_params_have(config->params, "console="))
                strbuf_printf(line, " console=%s", config->console);
        if (config->earlycon && !cmdline_params_have(config->params, "earlycon"))
                strbuf_printf(line, " earlycon=%s", config->earlycon);
}

#define RAMOOPS_RECORDS 8u

/* The driver wants a power of two for the size of a record. */
static void cmdline_add_pstore(StrBuf *line, const BootConfig *config) {
        uint64_t record = MEMMAP_PAGE_SIZE;

        if (config->pstore.size == 0)
                return;
        while (record * 2 * RAMOOPS_RECORDS <= config->pstore.size)
                record *= 2;
        strbuf_printf(line,
                      " ramoops.mem_address=0x%" PRIx64 " ramoops.mem_size=0x%" PRIx64
                      " ramoops.record_size=0x%" PRIx64,
                      config->pstore.start, config->pstore.size, record);
}

/**
 * cmdline_build() - put the command line together
 * @max: the longest one that the kernel takes, in bytes without the terminator
 *
 * As crosvm does, it begins with panic=-1, so that a panic ends the VM rather than leaving it hanging; the owner's
 * words come last and win over everything before them.
 *
 * Return: 0; -E2BIG when it is too long; -ENOMEM.
 */
int cmdline_build(const BootConfig *config, uint32_t max, char **ret, TextError *reterr) {
        _cleanup_(strbuf_deinit) StrBuf line = {0};
        size_t len;
        char *text;
        int r;

        strbuf_append(&line, "panic=-1");
        cmdline_add_console(&line, config);
        cmdline_add_root(&line, config);
        cmdline_add_pstore(&line, config);
        for (size_t i = 0; config->params && i < config->params->n; i++)
                strbuf_printf(&line, " %s", config->params->items[i]);

        len = line.len;
        max = MIN(max, (uint32_t) MEMMAP_BOOT_CMDLINE_SIZE - 1);
        if (len > max)
                return text_error_set(reterr, -E2BIG,
                                      "the kernel command line is too long: it has %zu bytes, the"
                                      " kernel takes %" PRIu32,
                                      len, max);
        r = strbuf_finish(&line, &text);
        if (r < 0)
                return r;
        *ret = text;
        return 0;
}
