/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hv/soft/code_area.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/**
 * code_area_init() - reserve @size bytes, which take memory as they are written
 * @name: shown in the host's list of mappings
 *
 * Return: 0 or negative errno.
 */
int code_area_init(CodeArea *area, const char *name, size_t size) {
        _cleanup_(fd_closep) int fd = memfd_create(name, MFD_CLOEXEC);
        void *write, *exec;

        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                return -errno;
        write = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (write == MAP_FAILED)
                return -errno;
        exec = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
        if (exec == MAP_FAILED) {
                int r = -errno;

                (void) munmap(write, size);
                return r;
        }
        *area = (CodeArea){.write = write, .exec = exec, .size = size};
        return 0;
}

/** code_area_deinit() - release; an area that is all zero is fine; none of its code may run any more */
void code_area_deinit(CodeArea *area) {
        if (!area->write)
                return;
        (void) munmap(area->write, area->size);
        (void) munmap(area->exec, area->size);
        *area = (CodeArea){0};
}

/** code_area_release() - the whole pages between @from and @to take no memory until they are written again */
void code_area_release(CodeArea *area, size_t from, size_t to) {
        const size_t page = (size_t) sysconf(_SC_PAGESIZE);
        const size_t first = (from + page - 1) / page * page;

        if (first < to)
                (void) madvise(area->write + first, to - first, MADV_REMOVE);
}

/**
 * code_area_serialize() - after code was replaced, before the new code runs on this thread
 *
 * Code that was changed through another mapping is good after a serializing instruction (SDM volume 3 section 8.1.3).
 */
void code_area_serialize(void) {
        uint32_t eax = 1, ebx, ecx = 0, edx;

        __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
}
