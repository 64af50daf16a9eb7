/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vmm_swap.h"

#include <errno.h>

#include "base/cleanup.h"

#define ELSEWHERE "the host's kernel or another process would see memory as it was before it left"
#define STAYS "that memory stays where it is"
#define PINNED "the host's kernel writes to pages that may have left meanwhile"

static bool has_direct_disk(const VmmConfig *config) {
        bool found = false;

        for (size_t i = 0; i < config->n_disks; i++)
                found |= config->disks[i].direct;
        for (size_t i = 0; i < config->n_scsi_disks; i++)
                found |= config->scsi_disks[i].direct;
        return found;
}

/**
 * vmm_swap_validate() - whether memory can be moved away beside what else @config asks for
 *
 * Return: 0; -EINVAL naming the option that rules it out, and why.
 */
int vmm_swap_validate(const VmmConfig *config, TextError *reterr) {
        const struct {
                bool used;
                const char *option, *reason;
        } others[] = {
                {config->lock_guest_memory, "--lock-guest-memory", STAYS},
                {config->hugepages, "--hugepages", "pages are moved one by one"},
                {config->memory.huge_page_mib > 0, "--mem: huge pages",
                 "pages are moved one by one"},
                {vmm_memory_has_ram_files(&config->memory), "--file-backed-mapping: ram", STAYS},
                {config->n_vfios > 0, "--vfio", "a device of the host reaches all of memory"},
                {config->vfio_hotplug, "--vfio-hotplug",
                 "a device of the host reaches all of memory"},
                {config->n_vhost_users > 0, "--vhost-user", ELSEWHERE},
                {config->n_folders > 0, "--vhost-user-fs", ELSEWHERE},
                {config->n_shared_dirs > 0, "--shared-dir", ELSEWHERE},
                {vmm_config_has_kernel_rings(config), "vhost-net or vhost-vsock", ELSEWHERE},
                {has_direct_disk(config), "--block: direct", PINNED},
                {config->board.nested, "--nested", PINNED},
        };

        for (size_t i = 0; config->swap && i < ELEMENTSOF(others); i++)
                if (others[i].used)
                        return text_error_set(reterr, -EINVAL,
                                              "--swap and %s exclude each other: %s",
                                              others[i].option, others[i].reason);
        return 0;
}
