/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/boot.h"

#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/fd_path.h"
#include "base/log.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/boot_params.h"
#include "vmm/boot/cmdline.h"
#include "vmm/boot/entry.h"
#include "vmm/boot/multiboot.h"
#include "vmm/boot/pvh.h"
#include "vmm/boot/smbios.h"

/* "act PATH: cause"; where the path is only a descriptor's number, with the file's own name beside it. */
static int boot_file_error(TextError *reterr, int r, const char *act, const char *path) {
        char target[PATH_MAX];
        int fd;

        if (fd_path_parse(path, &fd) && fd_describe(fd, target, sizeof(target)) >= 0)
                return text_error_prefix(reterr, r, "%s %s (%s)", act, path, target);
        return text_error_prefix(reterr, r, "%s %s", act, path);
}

static int boot_load_kernel(const BootConfig *config, LoadedKernel *ret, TextError *reterr) {
        _cleanup_(image_file_deinit) ImageFile file = {0};
        int r;

        r = image_file_open(config->kernel, &file, reterr);
        if (r >= 0)
                r = boot_kernel_load(&file, config->mem, ret, reterr);
        if (r < 0)
                return boot_file_error(reterr, r, "loading kernel", config->kernel);
        return 0;
}

static int boot_load_initrd(const BootConfig *config, const LoadedKernel *kernel, Initrd *ret,
                            TextError *reterr) {
        _cleanup_(image_file_deinit) ImageFile file = {0};
        int r;

        if (!config->initrd)
                return 0;
        r = image_file_open(config->initrd, &file, reterr);
        if (r >= 0)
                r = initrd_load(&file, config->mem, kernel, ret, reterr);
        if (r < 0)
                return boot_file_error(reterr, r, "loading initrd", config->initrd);
        return 0;
}

static int boot_write_tables(const BootConfig *config, gpa_t *ret_rsdp, TextError *reterr) {
        int r;

        r = acpi_write(config->mem, &config->board, ret_rsdp);
        if (r < 0)
                return text_error_prefix(reterr, r, "writing ACPI tables");
        r = smbios_write(config->mem, &config->board);
        if (r < 0)
                return text_error_prefix(reterr, r, "writing SMBIOS tables");
        return 0;
}

static int boot_linux(const BootConfig *config, const LoadedKernel *kernel, const Initrd *initrd,
                      gpa_t rsdp, BootEntry *ret, TextError *reterr) {
        _cleanup_(freep) char *cmdline = NULL;
        BootParamsConfig params = {.kernel = kernel, .initrd = initrd, .rsdp = rsdp};
        int r;

        r = cmdline_build(config, kernel->cmdline_max, &cmdline, reterr);
        if (r < 0)
                return r;
        params.cmdline = cmdline;
        r = boot_params_write(config->mem, &params);
        if (r < 0)
                return text_error_prefix(reterr, r, "writing boot parameters");
        r = entry_prepare(config->mem, kernel->entry, ret);
        if (r < 0)
                return text_error_prefix(reterr, r, "writing page tables");
        log_debug("command line: %s", cmdline);
        return 0;
}

static int boot_pvh(const BootConfig *config, const LoadedKernel *kernel, const Initrd *initrd,
                    gpa_t rsdp, BootEntry *ret, TextError *reterr) {
        _cleanup_(freep) char *cmdline = NULL;
        int r;

        r = cmdline_build(config, kernel->cmdline_max, &cmdline, reterr);
        if (r < 0)
                return r;
        r = pvh_prepare(
                config->mem,
                &(PvhConfig){
                        .entry = kernel->entry, .initrd = initrd, .cmdline = cmdline, .rsdp = rsdp},
                ret);
        if (r < 0)
                return text_error_prefix(reterr, r, "writing start information");
        log_debug("command line: %s", cmdline);
        return 0;
}

static int boot_multiboot(const BootConfig *config, const LoadedKernel *kernel,
                          const Initrd *initrd, BootEntry *ret, TextError *reterr) {
        _cleanup_(freep) char *cmdline = NULL;
        int r;

        r = multiboot_cmdline(config, &cmdline, reterr);
        if (r < 0)
                return r;
        r = multiboot_prepare(config->mem, kernel, initrd, cmdline, ret);
        if (r < 0)
                return text_error_prefix(reterr, r, "writing boot information");
        log_debug("command line: %s", cmdline);
        return 0;
}

static int boot_enter(const BootConfig *config, const LoadedKernel *kernel, const Initrd *initrd,
                      gpa_t rsdp, BootEntry *ret, TextError *reterr) {
        switch (kernel->protocol) {
        case KERNEL_LINUX64:
                return boot_linux(config, kernel, initrd, rsdp, ret, reterr);
        case KERNEL_MULTIBOOT:
                return boot_multiboot(config, kernel, initrd, ret, reterr);
        case KERNEL_PVH:
                return boot_pvh(config, kernel, initrd, rsdp, ret, reterr);
        }
        return -ENOEXEC;
}

/**
 * boot_load() - fill guest memory with all that booting takes
 * @config: its memory has at least the first MiB
 * @ret:    the boot processor's first state; set on success only
 *
 * Blocks while files are read and unpacked; called before the vCPUs run. What it used is given back to the system.
 *
 * Return: 0, or negative errno with a sentence that names the file and the cause.
 */
int boot_load(const BootConfig *config, BootEntry *ret, TextError *reterr) {
        usec_t started = clock_monotonic_usec();
        LoadedKernel kernel = {0};
        Initrd initrd = {0};
        gpa_t rsdp;
        int r;

        r = boot_load_kernel(config, &kernel, reterr);
        if (r < 0)
                return r;
        r = boot_load_initrd(config, &kernel, &initrd, reterr);
        if (r < 0)
                return r;
        r = boot_write_tables(config, &rsdp, reterr);
        if (r < 0)
                return r;
        r = boot_enter(config, &kernel, &initrd, rsdp, ret, reterr);
        if (r < 0)
                return r;

        (void) malloc_trim(0); /* decoders hold tens of MiB, and the heap would keep them */
        log_debug("kernel loaded in %" PRIu64 " us, entry 0x%" PRIx64,
                  clock_monotonic_usec() - started, kernel.entry);
        return 0;
}
