/* SPDX-License-Identifier: Apache-2.0 */

/* Kernel, initrd and command line, for firmware that loads them. */

#include <errno.h>
#include <string.h>

#include "config/vm_config.h"
#include "vmm/boot/cmdline.h"
#include "vmm/boot/kernel.h"
#include "vmm/machine/machine_internal.h"

static int add_image_item(FwCfg *fw, unsigned size_key, unsigned data_key, const ImageFile *file,
                          uint64_t offset, uint64_t size) {
        int r;

        if (size > UINT32_MAX)
                return -EFBIG;
        r = fw_cfg_add_number(fw, size_key, size, 4);
        return r < 0 ? r : fw_cfg_add_image(fw, data_key, file, offset, (uint32_t) size);
}

/* A bzImage is served in its two parts, anything else as one. */
static int add_kernel_items(FwCfg *fw, const ImageFile *file, TextError *reterr) {
        uint8_t head[BZIMAGE_HEAD_SIZE];
        uint64_t setup = 0;
        int r;

        if (file->size >= sizeof(head)) {
                r = image_file_read(file, 0, head, sizeof(head), reterr);
                if (r < 0)
                        return r;
                if (bzimage_has_magic(head))
                        setup = (head[SETUP_HEADER_OFFSET] ? head[SETUP_HEADER_OFFSET] + 1u : 5u) *
                                512u;
        }
        if (setup > file->size)
                return text_error_set(reterr, -ENODATA, "the file is truncated");
        r = add_image_item(fw, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA, file, 0, setup);
        return r < 0 ? r
                     : add_image_item(fw, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, file, setup,
                                      file->size - setup);
}

/**
 * machine_serve_kernel() - the items of fw_cfg that firmware loads @boot's kernel from
 *
 * Return: 0, or negative errno with a sentence that names the file.
 */
int machine_serve_kernel(FwCfg *fw, const BootConfig *boot, TextError *reterr) {
        _cleanup_(image_file_deinit) ImageFile kernel = {0}, initrd = {0};
        _cleanup_(freep) char *cmdline = NULL;
        int r;

        r = image_file_open(boot->kernel, &kernel, reterr);
        if (r >= 0)
                r = add_kernel_items(fw, &kernel, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "loading kernel %s", boot->kernel);
        if (boot->initrd) {
                r = image_file_open(boot->initrd, &initrd, reterr);
                if (r >= 0)
                        r = add_image_item(fw, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, &initrd, 0,
                                           initrd.size);
                if (r < 0)
                        return text_error_prefix(reterr, r, "loading initrd %s", boot->initrd);
        }
        r = cmdline_build(boot, VM_PARAMS_MAX, &cmdline, reterr);
        if (r < 0)
                return r;
        r = fw_cfg_add_number(fw, FW_CFG_CMDLINE_SIZE, strlen(cmdline) + 1, 4);
        return r < 0 ? r : fw_cfg_add(fw, FW_CFG_CMDLINE_DATA, cmdline, strlen(cmdline) + 1);
}
