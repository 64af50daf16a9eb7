/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "vmm/machine/directories.h"

/*
 * A copy of a directory as an ext2 file system in memory, made by mke2fs(8), which knows ext2 better than we ever should.
 * What the guest writes to it is seen by nobody and gone with the VM.
 */

#define MIB2 (UINT64_C(2) << 20) /* what a guest's driver wants sizes to be a multiple of */

#define IMAGE "/proc/self/fd/3"
#define DIRECTORY "/proc/self/fd/4/."

static const char *const programs[] = {"/usr/sbin/mke2fs", "/sbin/mke2fs", "mke2fs"};

/* Without a spare table for growing, which is bigger than a small group. */
static int arguments(const VmmExt2 *config, StrVec *argv) {
        const uint64_t blocks = config->size_bytes / VMM_EXT2_BLOCK;
        const uint64_t groups = (blocks + config->blocks_per_group - 1) / config->blocks_per_group;
        static const char *const fixed[] = {"-q", "-F", "-t", "ext2",          "-b", "4096",
                                            "-m", "0",  "-O", "^resize_inode", "-d", DIRECTORY};
        int r = strvec_add(argv, helper_find(programs, ELEMENTSOF(programs)));

        for (size_t i = 0; i < ELEMENTSOF(fixed) && r == 0; i++)
                r = strvec_add(argv, fixed[i]);
        if (r == 0)
                r = strvec_addf(argv, "-g%u", config->blocks_per_group);
        if (r == 0)
                r = strvec_addf(argv, "-N%" PRIu64, groups * config->inodes_per_group);
        if (r == 0)
                r = strvec_add(argv, IMAGE);
        return r < 0 ? r : strvec_addf(argv, "%" PRIu64, blocks);
}

static int run(const VmmExt2 *config, const int fds[2], bool sandbox, TextError *reterr) {
        _cleanup_(directory_users_deinit) DirectoryUsers users = {0};
        _cleanup_(strvec_deinit) StrVec argv = {0};
        HelperConfig helper = {.fds = fds, .n_fds = 2};
        int r, pid_fd, status;

        r = arguments(config, &argv);
        if (r == 0)
                r = directory_users_init(&users, &config->users, sandbox);
        if (r < 0)
                return r;
        helper.argv = argv.items;
        helper.users = users.none ? NULL : &users.helper;
        r = helper_start(&helper, &pid_fd, reterr);
        if (r == 0)
                r = helper_wait_consume(pid_fd, &status);
        if (r == 0 && status != 0)
                r = text_error_set(reterr, -EIO,
                                   "mke2fs failed with status %d; size= may be too small", status);
        return r;
}

/**
 * ext2_image_new() - make the file system that @config describes; blocks
 * @sandbox: see directory_users_init()
 *
 * Return: a descriptor of it, owned, whose size is a multiple of 2 MiB; or negative errno with a sentence.
 */
int ext2_image_new(const VmmPmem *config, bool sandbox, TextError *reterr) {
        _cleanup_(fd_closep) int image = memfd_create("pmem-ext2", MFD_CLOEXEC);
        _cleanup_(fd_closep) int directory = directory_open(config->path, reterr);
        const uint64_t size = align_up(config->ext2->size_bytes, MIB2);
        int r;

        if (image < 0)
                return -errno;
        if (directory < 0)
                return directory;
        if (ftruncate(image, (off_t) size) < 0)
                return -errno;
        r = run(config->ext2, (const int[]){image, directory}, sandbox, reterr);
        return r < 0 ? r : TAKE_FD(image);
}
