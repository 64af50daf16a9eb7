/* SPDX-License-Identifier: Apache-2.0 */
#include "service/vm/runtime_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

#define VMS_DIR "vm"
#define STATE_DIR "state"
#define UNWRITTEN_DIR "unwritten"
/* A VMM may put sockets and files into its directory, but never a tree of directories. */
#define ENTRIES_MAX 65536u

static void closedirp(DIR **dir) {
        if (*dir)
                (void) closedir(*dir);
}

static int empty_dir(int fd, unsigned depth);

/* Nothing of ours is deeper than this; what a VMM put there shall not take us farther. */
#define DEPTH_MAX 2u

static int remove_sub_dir(int parent, const char *name, unsigned depth) {
        int fd, r;

        if (depth == 0)
                return -EISDIR;
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = empty_dir(fd, depth - 1);
        if (r < 0)
                return r;
        return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_entry(int parent, const char *name, unsigned depth) {
        if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
                return 0;
        return errno == EISDIR ? remove_sub_dir(parent, name, depth) : -errno;
}

/* Unlinks the entries of the directory behind @fd, which is consumed, and of those in it down to @depth. */
static int empty_dir(int fd, unsigned depth) {
        _cleanup_(closedirp) DIR *dir = fdopendir(fd);
        const struct dirent *entry;

        int r;

        if (!dir) {
                r = -errno;
                (void) fd_close(fd);
                return r;
        }
        for (unsigned n = 0; n < ENTRIES_MAX; n++) {
                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return -errno;
                if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
                        continue;
                r = remove_entry(dirfd(dir), entry->d_name, depth);
                if (r < 0)
                        return r;
        }
        return -EMLINK;
}

/**
 * runtime_dir_remove() - remove a VM's directory, the files in it and those of its directories
 *
 * Never follows a link. Return: 0, also when it is gone already; negative errno.
 */
int runtime_dir_remove(const char *path) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        r = empty_dir(fd, DEPTH_MAX);
        if (r < 0)
                return r;
        return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int make_dir(const char *path) {
        return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_sub_dir(const char *base, const char *name, char **ret) {
        _cleanup_(freep) char *path = NULL;
        int r;

        if (asprintf(&path, "%s/%s", base, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = make_dir(path);
        if (r < 0)
                return r;
        *ret = TAKE(path);
        return 0;
}

static int open_sub_dir(const char *base, const char *name, int *ret) {
        _cleanup_(freep) char *path = NULL;
        int r = make_sub_dir(base, name, &path), fd;

        if (r < 0)
                return r;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

/**
 * runtime_dir_prepare() - create @base (its parent exists) and the directories in it
 * @ret: some of them, open
 *
 * Return: 0 or negative errno.
 */
int runtime_dir_prepare(const char *base, RuntimeDirs *ret) {
        _cleanup_(freep) char *vms = NULL;
        _cleanup_(fd_closep) int state = -EBADF, unwritten = -EBADF;
        int r;

        r = make_dir(base);
        if (r == 0)
                r = make_sub_dir(base, VMS_DIR, &vms);
        if (r == 0)
                r = open_sub_dir(base, STATE_DIR, &state);
        if (r == 0)
                r = open_sub_dir(base, UNWRITTEN_DIR, &unwritten);
        if (r < 0)
                return r;
        *ret = (RuntimeDirs){.state = TAKE_FD(state), .unwritten = TAKE_FD(unwritten)};
        return 0;
}

/** runtime_dir_of() - path of the directory of the VM with @cid, owned by the caller. Return: 0 or -ENOMEM. */
int runtime_dir_of(const char *base, uint32_t cid, char **ret) {
        char *path;

        if (asprintf(&path, "%s/" VMS_DIR "/%u", base, cid) < 0)
                return -ENOMEM;
        *ret = path;
        return 0;
}

/**
 * runtime_dir_sweep() - remove the directories of VMs that nobody knows any more
 * @is_known: whether there is a VM with that CID
 * @stale:    told of each before it is removed; optional
 *
 * Return: number of those that were removed; negative errno.
 */
int runtime_dir_sweep(const char *base, RuntimeDirKnownFn is_known, RuntimeDirStaleFn stale,
                      const void *userdata) {
        _cleanup_(freep) char *vms = NULL;
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;
        int removed = 0;

        if (asprintf(&vms, "%s/" VMS_DIR, base) < 0) {
                vms = NULL;
                return -ENOMEM;
        }
        dir = opendir(vms);
        if (!dir)
                return -errno;
        while ((entry = readdir(dir))) {
                _cleanup_(freep) char *path = NULL;
                uint32_t cid;

                if (entry->d_name[0] == '.' ||
                    (parse_u32(entry->d_name, &cid) == 0 && is_known(userdata, cid)))
                        continue;
                if (asprintf(&path, "%s/%s", vms, entry->d_name) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                if (stale)
                        stale(path);
                removed += runtime_dir_remove(path) == 0;
        }
        return removed;
}

/**
 * runtime_dir_create() - a fresh directory for the VM with @cid, only accessible to the daemon
 * @ret: its path, owned by the caller
 *
 * One that an earlier daemon left behind is replaced. Return: 0 or negative errno.
 */
int runtime_dir_create(const char *base, uint32_t cid, char **ret) {
        _cleanup_(freep) char *path = NULL;
        int r;

        r = runtime_dir_of(base, cid, &path);
        if (r < 0)
                return r;
        r = runtime_dir_remove(path);
        if (r < 0)
                return r;
        if (mkdir(path, 0700) < 0)
                return -errno;
        *ret = TAKE(path);
        return 0;
}
