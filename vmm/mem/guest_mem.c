/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/mem/guest_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "vmm/mem/memmap.h"

/* Tools that account VM memory look for this name in /proc/PID/maps; it is crosvm's. */
#define GUEST_MEM_NAME "crosvm_guest"

#define HUGE_PAGE_SIZE UINT64_C(0x200000)
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

static void guest_mem_add_region(GuestMem *mem, gpa_t gpa, uint64_t size_bytes,
                                 uint64_t file_offset) {
        mem->regions[mem->n_regions++] = (GuestRegion){
                .gpa = gpa,
                .size_bytes = size_bytes,
                .file_offset = file_offset,
                .host = mem->base + file_offset,
        };
}

/* Aligned so that a huge page of the host is one of the guest too, which saves the processor a level of both tables. */
static int guest_mem_map(GuestMem *mem, uint64_t page_bytes) {
        const uint64_t align = MAX(HUGE_PAGE_SIZE, page_bytes);
        const uint64_t reserved = mem->size_bytes + align;
        /* Pages of hugetlbfs are set aside now: a guest that met their end would die of it. */
        const int flags = MAP_SHARED | MAP_FIXED | (page_bytes > 0 ? 0 : MAP_NORESERVE);
        uint64_t before, after;
        uint8_t *at;
        void *base;

        at = mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED)
                return -errno;
        before = align_up((uintptr_t) at, align) - (uintptr_t) at;
        after = reserved - before - mem->size_bytes;
        base = mmap(at + before, mem->size_bytes, PROT_READ | PROT_WRITE, flags, mem->fd, 0);
        if (base == MAP_FAILED) {
                int r = -errno;

                (void) munmap(at, reserved);
                return r;
        }
        if (before > 0)
                (void) munmap(at, before);
        if (after > 0)
                (void) munmap(at + before + mem->size_bytes, after);
        mem->base = base;
        return 0;
}

/**
 * guest_mem_new_below() - allocate guest RAM and place it around the hole below 4 GiB
 * @size_bytes: page multiple, at least 1 MiB
 * @low_end:    where the hole begins: MEMMAP_LOW_RAM_END, or less
 * @ret:        set on success only; release with guest_mem_free()
 *
 * Pages are taken from the host when they are first touched. RAM is left out of core dumps: a crash of the VMM must
 * not write the guest's secrets to the host's disk.
 *
 * Return: 0; -EINVAL for a bad size; other negative errno.
 */
int guest_mem_new_below(uint64_t size_bytes, gpa_t low_end, GuestMem **ret) {
        return guest_mem_new_huge(size_bytes, low_end, /* page_bytes= */ 0, ret);
}

static int make_file(uint64_t page_bytes) {
        unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
        int fd;

        if (page_bytes > 0)
                flags |= MFD_HUGETLB | (unsigned) __builtin_ctzll(page_bytes) << MAP_HUGE_SHIFT;
        fd = memfd_create(GUEST_MEM_NAME, flags);
        return fd < 0 ? -errno : fd;
}

/**
 * guest_mem_new_huge() - guest_mem_new_below() in pages that the host has set aside for hugetlbfs
 * @page_bytes: their size, which divides @size_bytes; 0: in ordinary pages
 *
 * Return: as guest_mem_new_below(); -ENOMEM when the host has not so many of them free.
 */
int guest_mem_new_huge(uint64_t size_bytes, gpa_t low_end, uint64_t page_bytes, GuestMem **ret) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        uint64_t low = MIN(size_bytes, low_end);
        int r;

        if (size_bytes < MEMMAP_HIMEM_START || size_bytes % MEMMAP_PAGE_SIZE != 0 ||
            size_bytes > INT64_MAX - HUGE_PAGE_SIZE || low_end < MEMMAP_HIMEM_START ||
            low_end > MEMMAP_LOW_RAM_END || low_end % MEMMAP_PAGE_SIZE != 0)
                return -EINVAL;

        mem = malloc(sizeof(*mem));
        if (!mem)
                return -ENOMEM;
        *mem = (GuestMem){.fd = -EBADF, .size_bytes = size_bytes};

        mem->fd = make_file(page_bytes);
        if (mem->fd < 0)
                return mem->fd;
        if (ftruncate(mem->fd, (off_t) size_bytes) < 0)
                return -errno;
        /* Whoever is given the descriptor later (vhost-user devices) cannot cut pages away under us. */
        if (fcntl(mem->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return -errno;
        r = guest_mem_map(mem, page_bytes);
        if (r < 0)
                return r;
        (void) madvise(mem->base, size_bytes, MADV_DONTDUMP);

        guest_mem_add_region(mem, 0, low, 0);
        if (size_bytes > low)
                guest_mem_add_region(mem, MEMMAP_HIGH_RAM_BASE, size_bytes - low, low);
        *ret = TAKE(mem);
        return 0;
}

/** guest_mem_new() - guest_mem_new_below() with as much RAM below 4 GiB as the board has room for */
int guest_mem_new(uint64_t size_bytes, GuestMem **ret) {
        return guest_mem_new_below(size_bytes, MEMMAP_LOW_RAM_END, ret);
}

/** guest_mem_free() - unmap and close guest RAM; nothing may hold a pointer into it. Return: NULL. */
GuestMem *guest_mem_free(GuestMem *mem) {
        if (!mem)
                return NULL;
        if (mem->base)
                (void) munmap(mem->base, mem->size_bytes);
        (void) fd_close(mem->fd);
        free((void *) (uintptr_t) mem->dirty);
        free(mem);
        return NULL;
}

static bool overlaps(const GuestMem *mem, gpa_t gpa, gpa_t end) {
        for (unsigned i = 0; i < mem->n_regions + mem->n_files; i++)
                if (gpa < mem->regions[i].gpa + mem->regions[i].size_bytes &&
                    mem->regions[i].gpa < end)
                        return true;
        for (unsigned i = 0; i < mem->n_roms; i++)
                if (gpa < mem->roms[i].gpa + mem->roms[i].size_bytes && mem->roms[i].gpa < end)
                        return true;
        return false;
}

/** guest_mem_file_bytes() - how much memory guest_mem_add_file() has added */
uint64_t guest_mem_file_bytes(const GuestMem *mem) {
        uint64_t bytes = 0;

        for (unsigned i = 0; i < mem->n_files; i++)
                bytes += mem->regions[mem->n_regions + i].size_bytes;
        return bytes;
}

/**
 * guest_mem_add_file() - let the guest read, write and execute @host at [@gpa, @gpa + @size_bytes), and devices reach it
 * @gpa:  page aligned, where nothing was added before
 * @host: borrowed; page aligned; outlives the partition
 *
 * Before the partition is built. It is no RAM: firmware and kernels are not told of it here, the dirty log does not
 * cover it, and vhost-user processes do not have it.
 *
 * Return: 0; -EINVAL for a bad range; -ENOSPC when there are GUEST_MEM_FILES_MAX.
 */
int guest_mem_add_file(GuestMem *mem, gpa_t gpa, uint8_t *host, uint64_t size_bytes) {
        const unsigned n = mem->n_regions + mem->n_files;
        uint64_t end;

        if (size_bytes == 0 || (gpa | size_bytes | (uintptr_t) host) % MEMMAP_PAGE_SIZE != 0 ||
            !ADD_CHECKED(gpa, size_bytes, &end) || overlaps(mem, gpa, end))
                return -EINVAL;
        if (mem->n_files == GUEST_MEM_FILES_MAX)
                return -ENOSPC;
        mem->regions[n] = (GuestRegion){
                .gpa = gpa,
                .size_bytes = size_bytes,
                .file_offset = mem->size_bytes + guest_mem_file_bytes(mem),
                .host = host,
        };
        mem->n_files++;
        return 0;
}

/**
 * guest_mem_add_rom() - let the guest read and execute [@gpa, @gpa + @size_bytes) from @host
 * @host:      borrowed; page aligned; outlives the partition
 * @ret_index: for PartitionOps.show_rom
 *
 * Before the partition is built, which shows it to the guest. What the guest writes there goes to the bus.
 *
 * Return: 0; -EINVAL for a bad or overlapping range; -ENOSPC when there are GUEST_MEM_ROMS_MAX.
 */
int guest_mem_add_rom(GuestMem *mem, gpa_t gpa, uint8_t *host, uint64_t size_bytes,
                      unsigned *ret_index) {
        uint64_t end;

        if (size_bytes == 0 || (gpa | size_bytes | (uintptr_t) host) % MEMMAP_PAGE_SIZE != 0 ||
            !ADD_CHECKED(gpa, size_bytes, &end))
                return -EINVAL;
        if (overlaps(mem, gpa, end))
                return -EINVAL;
        if (mem->n_roms == GUEST_MEM_ROMS_MAX)
                return -ENOSPC;
        *ret_index = mem->n_roms;
        mem->roms[mem->n_roms++] = (GuestRom){.gpa = gpa, .size_bytes = size_bytes, .host = host};
        return 0;
}

/**
 * guest_mem_reserve() - list [@gpa, @gpa + @size_bytes) in the guest's memory map as taken; before the kernel is loaded
 *
 * Return: 0; -ENOSPC when there are GUEST_MEM_RESERVED_MAX.
 */
int guest_mem_reserve(GuestMem *mem, gpa_t gpa, uint64_t size_bytes) {
        if (mem->n_reserved == GUEST_MEM_RESERVED_MAX)
                return -ENOSPC;
        mem->reserved[mem->n_reserved++] = (GuestReserved){gpa, size_bytes};
        return 0;
}

/**
 * guest_mem_watch() - call @written before devices write, so that code decoded from there is forgotten
 * @written:  any thread; NULL ends it
 * @userdata: borrowed until then
 *
 * While no device runs.
 */
void guest_mem_watch(GuestMem *mem, void (*written)(void *userdata, gpa_t gpa, uint64_t len),
                     void *userdata) {
        mem->written = written;
        mem->written_userdata = userdata;
}

/**
 * guest_mem_ptr() - the host address of a range of guest RAM, or of a file; any thread
 * @gpa, @len:  must lie inside one region as a whole; @len may be 0
 *
 * The guest may change what is there at any time: read each field once, through guest_mem_read() or an atomic load.
 *
 * Return: a pointer valid as long as @mem, or NULL when any byte is outside RAM.
 */
void *guest_mem_ptr(const GuestMem *mem, gpa_t gpa, uint64_t len) {
        for (unsigned i = 0; i < mem->n_regions + mem->n_files; i++) {
                const GuestRegion *region = &mem->regions[i];

                if (gpa >= region->gpa && range_within(gpa - region->gpa, len, region->size_bytes))
                        return region->host + (gpa - region->gpa);
        }
        return NULL;
}

/**
 * guest_mem_read() - copy from guest RAM; any thread
 *
 * Return: 0; -EFAULT when any byte of [@gpa, @gpa + @len) is outside RAM, and then nothing was copied.
 */
int guest_mem_read(const GuestMem *mem, gpa_t gpa, void *data, size_t len) {
        const void *host = guest_mem_ptr(mem, gpa, len);

        if (!host)
                return -EFAULT;
        memcpy(data, host, len);
        return 0;
}

/**
 * guest_mem_write() - copy into guest RAM; any thread
 *
 * Return: 0; -EFAULT when any byte of [@gpa, @gpa + @len) is outside RAM, and then nothing was copied.
 */
int guest_mem_write(const GuestMem *mem, gpa_t gpa, const void *data, size_t len) {
        void *host = guest_mem_ptr(mem, gpa, len);

        if (!host)
                return -EFAULT;
        memcpy(host, data, len);
        guest_mem_written(mem, gpa, len);
        return 0;
}

/*
 * Whole huge pages, where the host has transparent huge pages: one allocation, and one fault of the guest, instead of
 * 512. The page must not be empty for the kernel to take it.
 */
static bool populate_huge(uint8_t *host) {
        if (madvise(host, MEMMAP_PAGE_SIZE, MADV_POPULATE_WRITE) < 0)
                return false;
        return madvise(host, HUGE_PAGE_SIZE, MADV_COLLAPSE) == 0;
}

/**
 * guest_mem_populate() - make the pages of a range present now, because it is about to be filled
 *
 * One call costs a fraction of a fault for each page. It is a hint: older kernels and ranges that are outside RAM
 * leave the pages to be taken when they are touched.
 */
void guest_mem_populate(const GuestMem *mem, gpa_t gpa, uint64_t len) {
        gpa_t start = align_down(gpa, MEMMAP_PAGE_SIZE);
        bool huge = true;
        uint64_t size;
        uint8_t *host;

        if (!ADD_CHECKED(len, gpa - start + MEMMAP_PAGE_SIZE - 1, &size))
                return;
        size = align_down(size, MEMMAP_PAGE_SIZE);
        host = guest_mem_ptr(mem, start, size);
        if (!host)
                return;
        while (size > 0) {
                const bool whole = (uintptr_t) host % HUGE_PAGE_SIZE == 0 && size >= HUGE_PAGE_SIZE;
                const uint64_t to_boundary = HUGE_PAGE_SIZE - (uintptr_t) host % HUGE_PAGE_SIZE;
                const uint64_t step = MIN(size, to_boundary);

                if (whole && huge)
                        huge = populate_huge(host);
                if (!whole || !huge)
                        (void) madvise(host, step, MADV_POPULATE_WRITE);
                host += step;
                size -= step;
        }
}

/**
 * guest_mem_release() - the guest has no use for the pages of a range: they go back to the host, and read as zeros
 * @gpa, @len: whole pages; ranges that are not in one region are left alone
 *
 * A hint: pages that the host cannot take back, as parts of huge ones and those that are pinned, stay as they are.
 */
void guest_mem_release(const GuestMem *mem, gpa_t gpa, uint64_t len) {
        uint8_t *host = guest_mem_ptr(mem, gpa, len);

        /* The balloon is for RAM: it must not make holes in files. */
        if (!host || host < mem->base || host >= mem->base + mem->size_bytes || mem->pinned ||
            guest_mem_is_replaced(mem, gpa, len))
                return;
        guest_mem_forget(mem, host, len);
        (void) madvise(host, len, MADV_REMOVE);
        guest_mem_forget(mem, host, len);
        guest_mem_written(mem, gpa, len);
}

/**
 * guest_mem_discard() - give the whole pages of a range back to the host; they read as zeros afterwards
 *
 * Bytes of the range in pages that it has only a part of become zero as well. Where the host cannot take pages back,
 * all bytes are zeroed.
 */
void guest_mem_discard(const GuestMem *mem, gpa_t gpa, uint64_t len) {
        gpa_t start = align_up(gpa, MEMMAP_PAGE_SIZE),
              end = align_down(gpa + len, MEMMAP_PAGE_SIZE);
        uint8_t *host = guest_mem_ptr(mem, gpa, len);

        if (!host)
                return;
        if (start >= end || mem->pinned || guest_mem_is_replaced(mem, gpa, len) ||
            madvise(host + (start - gpa), end - start, MADV_REMOVE) < 0) {
                memset(host, 0, len);
                return;
        }
        memset(host, 0, start - gpa);
        memset(host + (end - gpa), 0, gpa + len - end);
}
