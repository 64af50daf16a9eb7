/* SPDX-License-Identifier: Apache-2.0 */

/* Files of the host at addresses of the guest: those of --file-backed-mapping, and the guest's last words. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/fd_path.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/mem/memmap.h"

static bool overlaps(const VmmRange *range, gpa_t start, gpa_t end) {
        return range->size > 0 && start < range->start + range->size && range->start < end;
}

static int open_mapping(const VmmFileMapping *mapping, uint64_t size, int *ret_fd,
                        TextError *reterr) {
        const int flags = (mapping->writable ? O_RDWR : O_RDONLY) | (mapping->sync ? O_SYNC : 0);
        _cleanup_(fd_closep) int fd = fd_path_open(mapping->path, flags, 0);
        struct stat st;

        if (fd < 0)
                return text_error_set(reterr, fd, "cannot open it: %s", strerror(-fd));
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISREG(st.st_mode) &&
            (mapping->offset > (uint64_t) st.st_size ||
             align_up((uint64_t) st.st_size, MEMMAP_PAGE_SIZE) - mapping->offset < size))
                return text_error_set(reterr, -EINVAL, "the file ends before offset= plus size=");
        if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
                return text_error_set(reterr, -EINVAL, "it cannot be mapped");
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Keeps @host, owned from now on, until the machine goes. */
static MachineFile *keep(Machine *machine, uint8_t *host, uint64_t size) {
        MachineFile *file = &machine->files[machine->n_files++];

        *file = (MachineFile){.host = host, .size_bytes = size};
        (void) madvise(host, size, MADV_DONTDUMP);
        return file;
}

static int map_beside_ram(Machine *machine, const VmmFileMapping *mapping, gpa_t gpa, uint64_t size,
                          TextError *reterr) {
        const gpa_t fixed_start = machine->pci32.size > 0 ? MEMMAP_IOAPIC_BASE : /* --bios */
                                          MEMMAP_FIRMWARE_PCI32_BASE;
        const int protection = PROT_READ | (mapping->writable ? PROT_WRITE : 0);
        _cleanup_(fd_closep) int fd = -EBADF;
        unsigned rom;
        void *host;
        int r;

        if (overlaps(&machine->pci32, gpa, gpa + size) ||
            overlaps(&machine->ecam, gpa, gpa + size) ||
            (gpa < MEMMAP_HIGH_RAM_BASE && gpa + size > fixed_start) || gpa < MEMMAP_HIMEM_START)
                return text_error_set(reterr, -EINVAL, "devices are at these addresses");
        r = open_mapping(mapping, size, &fd, reterr);
        if (r < 0)
                return r;
        host = mmap(NULL, size, protection, MAP_SHARED, fd, (off_t) mapping->offset);
        if (host == MAP_FAILED)
                return text_error_set(reterr, -errno, "cannot map it: %s", strerror(errno));
        (void) keep(machine, host, size);
        r = mapping->writable ? guest_mem_add_file(machine->mem, gpa, host, size)
                              : guest_mem_add_rom(machine->mem, gpa, host, size, &rom);
        return r < 0 ? text_error_set(reterr, r, "memory is at these addresses already") : 0;
}

static int map_into_ram(Machine *machine, const VmmFileMapping *mapping, gpa_t gpa, uint64_t size,
                        TextError *reterr) {
        _cleanup_(fd_closep) int fd = -EBADF;
        int r = open_mapping(mapping, size, &fd, reterr);

        if (r < 0)
                return r;
        r = guest_mem_replace(machine->mem, gpa, size, fd, mapping->offset);
        return r < 0 ? text_error_set(reterr, r, "cannot put it into RAM: %s", strerror(-r)) : 0;
}

/**
 * machine_map_files() - put the files of --file-backed-mapping into guest memory that has no partition yet
 * @end: where memory ends; moved behind those above
 *
 * Return: 0 or negative errno with a sentence.
 */
int machine_map_files(Machine *machine, const VmmConfig *config, gpa_t *end, TextError *reterr) {
        for (size_t i = 0; i < config->memory.n_mappings; i++) {
                const VmmFileMapping *mapping = &config->memory.mappings[i];
                const gpa_t gpa = align_down(mapping->address, MEMMAP_PAGE_SIZE);
                const uint64_t size =
                        align_up(mapping->address + mapping->size, MEMMAP_PAGE_SIZE) - gpa;
                int r = mapping->ram ? map_into_ram(machine, mapping, gpa, size, reterr)
                                     : map_beside_ram(machine, mapping, gpa, size, reterr);

                if (r < 0)
                        return text_error_prefix(reterr, r, "--file-backed-mapping: %s",
                                                 mapping->path);
                *end = MAX(*end, gpa + size);
        }
        return 0;
}

static int map_pstore(Machine *machine, const VmmMemory *memory, gpa_t gpa, TextError *reterr) {
        _cleanup_(fd_closep) int fd = fd_path_open(memory->pstore_path, O_RDWR | O_CREAT, 0600);
        struct stat st;
        void *host;

        if (fd < 0)
                return text_error_set(reterr, fd, "cannot open it: %s", strerror(-fd));
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return text_error_set(reterr, -EINVAL, "it is no regular file");
        if ((uint64_t) st.st_size != memory->pstore_size &&
            ftruncate(fd, (off_t) memory->pstore_size) < 0)
                return text_error_set(reterr, -errno, "cannot give it its size: %s",
                                      strerror(errno));
        host = mmap(NULL, memory->pstore_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (host == MAP_FAILED)
                return text_error_set(reterr, -errno, "cannot map it: %s", strerror(errno));
        (void) keep(machine, host, memory->pstore_size);
        return guest_mem_add_file(machine->mem, gpa, host, memory->pstore_size);
}

/**
 * machine_map_pstore() - the file of --pstore as memory that outlives the guest, at a place of its own above RAM
 * @end: where memory ends; moved behind it
 *
 * Return: 0 or negative errno with a sentence.
 */
int machine_map_pstore(Machine *machine, const VmmConfig *config, gpa_t *end, TextError *reterr) {
        const VmmMemory *memory = &config->memory;
        const gpa_t gpa = align_up(*end, MEMMAP_HIMEM_START);
        int r;

        if (!memory->pstore_path)
                return 0;
        r = map_pstore(machine, memory, gpa, reterr);
        if (r == 0)
                r = guest_mem_reserve(machine->mem, gpa, memory->pstore_size);
        if (r < 0)
                return text_error_prefix(reterr, r, "--pstore: %s", memory->pstore_path);
        machine->pstore = (VmmRange){gpa, memory->pstore_size};
        *end = gpa + memory->pstore_size;
        return 0;
}

/** machine_free_files() - after the partition and the devices */
void machine_free_files(Machine *machine) {
        while (machine->n_files > 0) {
                const MachineFile *file = &machine->files[--machine->n_files];

                (void) munmap(file->host, file->size_bytes);
        }
}
