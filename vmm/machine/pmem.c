/* SPDX-License-Identifier: Apache-2.0 */

/* Files, and memory of the host, that the guest has as persistent memory: mapped above RAM, and a device that says where. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/fd_path.h"
#include "vmm/machine/directories.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/mem/memmap.h"

/* What Linux adds to its memory map at once, and what its driver wants sizes to be a multiple of. */
#define PMEM_PLACE_ALIGN (UINT64_C(128) << 20)
#define PMEM_SIZE_ALIGN (UINT64_C(2) << 20)

/* The file's bytes, and zeros behind them that are nobody's up to the size that guests see. */
static int map_file(const VmmPmem *config, MachinePmem *pmem, uint64_t file_bytes) {
        const int protection = PROT_READ | (config->read_only ? 0 : PROT_WRITE);
        void *base, *file;

        base = mmap(NULL, pmem->size_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
        if (base == MAP_FAILED)
                return -errno;
        pmem->host = base;
        file = mmap(base, file_bytes, protection, MAP_SHARED | MAP_FIXED, pmem->fd, 0);
        if (file == MAP_FAILED)
                return -errno;
        (void) madvise(base, pmem->size_bytes, MADV_DONTDUMP);
        return 0;
}

/* A memfd's name, which the kernel limits. */
#define MEMFD_NAME_MAX 249

static int make_memory(const VmmPmem *config, TextError *reterr) {
        const uint64_t size = align_up(config->vma_bytes, PMEM_SIZE_ALIGN);
        _cleanup_(fd_closep) int fd = -EBADF;
        char name[MEMFD_NAME_MAX + 1];

        (void) snprintf(name, sizeof(name), "%s", config->path);
        fd = memfd_create(name, MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                return text_error_set(reterr, -errno, "--pmem: cannot have memory for %s: %s",
                                      config->path, strerror(errno));
        return TAKE_FD(fd);
}

static int open_pmem(const VmmPmem *config, bool sandbox, TextError *reterr) {
        int fd;

        if (config->vma_bytes > 0)
                return make_memory(config, reterr);
        if (config->ext2) {
                fd = ext2_image_new(config, sandbox, reterr);
                return fd < 0 ? text_error_prefix(reterr, fd, "--pmem-ext2: %s", config->path) : fd;
        }
        fd = fd_path_open(config->path, config->read_only ? O_RDONLY : O_RDWR, 0);
        return fd >= 0 ? fd
                       : text_error_set(reterr, fd, "--pmem: cannot open %s: %s", config->path,
                                        strerror(-fd));
}

static int open_file(const VmmPmem *config, MachinePmem *pmem, bool sandbox, TextError *reterr) {
        struct stat st;
        int r;

        pmem->fd = open_pmem(config, sandbox, reterr);
        if (pmem->fd < 0)
                return pmem->fd;
        if (fstat(pmem->fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size <= 0)
                return text_error_set(reterr, -EINVAL, "--pmem: %s: not a file with bytes in it",
                                      config->path);
        if (!config->read_only && (uint64_t) st.st_size % PMEM_SIZE_ALIGN != 0)
                return text_error_set(reterr, -EINVAL,
                                      "--pmem: %s: a writable file is a multiple of 2 MiB",
                                      config->path);
        pmem->size_bytes = align_up((uint64_t) st.st_size, PMEM_SIZE_ALIGN);
        r = map_file(config, pmem, (uint64_t) st.st_size);
        if (r < 0)
                text_error_set(reterr, r, "--pmem: cannot map %s: %s", config->path, strerror(-r));
        return r;
}

/**
 * machine_map_pmems() - put the files of --pmem into guest memory that has no partition yet
 * @end: where memory ends; moved behind them
 *
 * A read-only file is ROM: writes come to nothing, and devices do not reach it.
 *
 * Return: 0 or negative errno with a sentence.
 */
int machine_map_pmems(Machine *machine, const VmmConfig *config, gpa_t *end, TextError *reterr) {
        for (size_t i = 0; i < config->n_pmems; i++) {
                MachinePmem *pmem = &machine->pmems[machine->n_pmems];
                unsigned rom;
                int r;

                *pmem = (MachinePmem){.fd = -EBADF};
                machine->n_pmems++;
                r = open_file(&config->pmems[i], pmem, !config->disable_sandbox, reterr);
                if (r < 0)
                        return r;
                pmem->gpa = align_up(*end, PMEM_PLACE_ALIGN);
                if (config->pmems[i].read_only)
                        r = guest_mem_add_rom(machine->mem, pmem->gpa, pmem->host, pmem->size_bytes,
                                              &rom);
                else
                        r = guest_mem_add_file(machine->mem, pmem->gpa, pmem->host,
                                               pmem->size_bytes);
                if (r < 0)
                        return text_error_set(reterr, r, "--pmem: no room for %s",
                                              config->pmems[i].path);
                *end = pmem->gpa + pmem->size_bytes;
        }
        return 0;
}

/** machine_free_pmems() - after the partition and the devices */
void machine_free_pmems(Machine *machine) {
        for (unsigned i = 0; i < machine->n_pmems; i++) {
                if (machine->pmems[i].host)
                        (void) munmap(machine->pmems[i].host, machine->pmems[i].size_bytes);
                (void) fd_close(machine->pmems[i].fd);
        }
        machine->n_pmems = 0;
}

/**
 * machine_add_pmems() - the devices that tell the guest of them
 * @slot: first PCI slot to use; advanced past those used
 *
 * Return: 0 or negative errno.
 */
int machine_add_pmems(Machine *machine, const VmmConfig *config, unsigned *slot) {
        for (unsigned i = 0; i < machine->n_pmems; i++) {
                const VirtioPmemConfig device_config = {
                        .loop = machine->loop,
                        .gpa = machine->pmems[i].gpa,
                        .size_bytes = machine->pmems[i].size_bytes,
                        .fd = machine->pmems[i].fd,
                        .engine = machine_aio_engine(config->executor),
                        .host = machine->pmems[i].host,
                        .pageout_nsec = config->pmems[i].swap_interval_ms * NSEC_PER_MSEC,
                };
                VirtioDevice *device;
                int r;

                r = virtio_pmem_new(&device_config, &device);
                if (r == 0)
                        r = machine_add_virtio(machine, device,
                                               machine_next_slot(machine, slot, 0));
                if (r < 0)
                        return r;
        }
        return 0;
}
