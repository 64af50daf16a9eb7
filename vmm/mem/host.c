/* SPDX-License-Identifier: Apache-2.0 */

/* What options want of the host for guest RAM beyond being there. */

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/checked.h"
#include "vmm/mem/guest_mem.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#define MPOL_BIND 2 /* linux/mempolicy.h */

/**
 * guest_mem_replace() - back a part of RAM by a file instead of the memfd
 * @gpa:    page aligned; the part is in one region
 * @fd:     borrowed; open for reading and writing, and has the bytes
 * @offset: in the file, page aligned
 *
 * Before the partition is built. The guest's memory map stays as it is. What is in the file is not given back to the
 * host by guest_mem_release(), and processes that map the memfd do not see it.
 *
 * Return: 0; -EINVAL when it is not all RAM; -ENOSPC when there are GUEST_MEM_REPLACED_MAX; other negative errno.
 */
int guest_mem_replace(GuestMem *mem, gpa_t gpa, uint64_t size_bytes, int fd, uint64_t offset) {
        uint8_t *host = guest_mem_ptr(mem, gpa, size_bytes);

        if (!host || host < mem->base || host >= mem->base + mem->size_bytes)
                return -EINVAL;
        if (mem->n_replaced == GUEST_MEM_REPLACED_MAX)
                return -ENOSPC;
        if (mmap(host, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 (off_t) offset) == MAP_FAILED)
                return -errno;
        (void) madvise(host, size_bytes, MADV_DONTDUMP);
        mem->replaced[mem->n_replaced++] = (GuestReserved){gpa, size_bytes};
        return 0;
}

/** guest_mem_is_replaced() - whether any of [@gpa, @gpa + @len) is a file's */
bool guest_mem_is_replaced(const GuestMem *mem, gpa_t gpa, uint64_t len) {
        for (unsigned i = 0; i < mem->n_replaced; i++)
                if (gpa < mem->replaced[i].gpa + mem->replaced[i].size_bytes &&
                    mem->replaced[i].gpa < gpa + len)
                        return true;
        return false;
}

/**
 * guest_mem_bind() - have RAM on these NUMA nodes of the host
 * @nodes: a bit each
 *
 * Return: 0; -EINVAL when the host has none of them; -ENOSYS for a kernel without NUMA.
 */
int guest_mem_bind(const GuestMem *mem, uint64_t nodes) {
        const unsigned long mask[] = {nodes, 0};

        return syscall(SYS_mbind, mem->base, mem->size_bytes, MPOL_BIND, mask, 8 * sizeof(mask),
                       0) < 0
                       ? -errno
                       : 0;
}

/**
 * guest_mem_prefault() - take all pages of RAM from the host now
 *
 * Return: 0; -ENOMEM when it has not so many; -EINVAL for kernels before 5.14.
 */
int guest_mem_prefault(const GuestMem *mem) {
        return madvise(mem->base, mem->size_bytes, MADV_POPULATE_WRITE) < 0 ? -errno : 0;
}

static int advise(const GuestMem *mem, int advice) {
        return madvise(mem->base, mem->size_bytes, advice) < 0 ? -errno : 0;
}

/**
 * guest_mem_use_huge_pages() - ask the host for transparent huge pages; it takes them where its own settings allow it
 *
 * Return: 0; -EINVAL for a kernel without them.
 */
int guest_mem_use_huge_pages(const GuestMem *mem) {
        return advise(mem, MADV_HUGEPAGE);
}

/**
 * guest_mem_lock() - never give pages that the guest has touched to the host's swap
 *
 * Return: 0; -ENOMEM or -EPERM when the limit of locked memory (RLIMIT_MEMLOCK) is lower than all of RAM.
 */
int guest_mem_lock(const GuestMem *mem) {
        return mlock2(mem->base, mem->size_bytes, MLOCK_ONFAULT) < 0 ? -errno : 0;
}

/** guest_mem_unmap_on_fork() - processes that the VMM makes do not have RAM mapped. Return: 0 or negative errno. */
int guest_mem_unmap_on_fork(const GuestMem *mem) {
        return advise(mem, MADV_DONTFORK);
}

/**
 * guest_mem_use_small_pages() - the host makes no transparent huge pages of RAM, whatever its settings
 *
 * Return: 0; -EINVAL for a kernel without them, which makes none either.
 */
int guest_mem_use_small_pages(const GuestMem *mem) {
        return advise(mem, MADV_NOHUGEPAGE);
}
