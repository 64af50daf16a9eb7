/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "vmm/jail/jail_internal.h"

/* Any directory that is always there will do; what is below it stays in the namespace that is left. */
#define DEFAULT_ROOT "/proc"

/** jail_check_root() - is @root, if any, an empty directory? Return: 0; negative errno with a sentence. */
int jail_check_root(const char *root, TextError *reterr) {
        const struct dirent *entry;
        DIR *dir;
        int r = 0;

        if (!root)
                return 0;
        dir = opendir(root);
        if (!dir)
                return text_error_set(reterr, -errno, "--pivot-root %s: %s", root, strerror(errno));
        while (r == 0 && (entry = readdir(dir)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        r = -ENOTEMPTY;
        (void) closedir(dir);
        return r < 0 ? text_error_set(reterr, r, "--pivot-root %s: %s", root, strerror(-r)) : 0;
}

static int write_file(const char *path, const char *text) {
        _cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

/* The user and group stay who they are, so that files go on to belong to them. */
static int map_ids(uid_t uid, gid_t gid) {
        char map[64];
        int r;

        r = write_file("/proc/self/setgroups", "deny");
        if (r < 0)
                return r;
        (void) snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
        r = write_file("/proc/self/uid_map", map);
        if (r < 0)
                return r;
        (void) snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
        return write_file("/proc/self/gid_map", map);
}

/**
 * jail_leave_namespaces() - a user, mount, IPC and network namespace of our own, as far as they are to be had
 * @refused: set to the names of those that are not, and why
 *
 * The user namespace comes first: it is what lets a user without rights have the others. Needs the process to have one
 * thread. Return: whether we have all.
 */
bool jail_leave_namespaces(char refused[static JAIL_REFUSED_MAX]) {
        static const struct {
                int flag;
                const char *name;
        } spaces[] = {
                {CLONE_NEWUSER, "user"},
                {CLONE_NEWNS, "mount"},
                {CLONE_NEWIPC, "IPC"},
                {CLONE_NEWNET, "network"},
        };
        const uid_t uid = geteuid();
        const gid_t gid = getegid();
        size_t len = 0;
        int why = 0;

        for (size_t i = 0; i < ELEMENTSOF(spaces); i++) {
                int r = unshare(spaces[i].flag) < 0 ? -errno : 0;

                if (r == 0 && spaces[i].flag == CLONE_NEWUSER)
                        r = map_ids(uid, gid);
                if (r == 0)
                        continue;
                why = r;
                len += (size_t) snprintf(refused + len, JAIL_REFUSED_MAX - len, "%s%s",
                                         len > 0 ? ", " : "", spaces[i].name);
        }
        if (why < 0)
                (void) snprintf(refused + len, JAIL_REFUSED_MAX - len, " (%s)", strerror(-why));
        return why == 0;
}

/* In an empty file system at the working directory. */
static int furnish(int descriptors) {
        if (mkdir("proc", 0555) < 0 || mkdir("proc/self", 0555) < 0 ||
            mkdir("proc/self/fd", 0555) < 0)
                return -errno;
        if (move_mount(descriptors, "", AT_FDCWD, "proc/self/fd", MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return -errno;
        return mount(NULL, ".", NULL,
                     MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0
                       ? -errno
                       : 0;
}

/* The working directory becomes the root. Return: 0 or negative errno. */
static int make_root(void) {
        if (syscall(SYS_pivot_root, ".", ".") == 0)
                return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -errno : 0;
        if (errno != EINVAL)
                return -errno;
        /* The host runs from its initramfs, which stays the first of all mounts: cover it. */
        return mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0
                       ? -errno
                       : 0;
}

/*
 * In place of a root of our own: each directory below that of the host is covered by an empty one. /proc stays for the sake
 * of our descriptors; what is behind the links of other processes there takes rights that a namespace of users lacks.
 */
static int cover_root(void) {
        DIR *dir = opendir("/");
        const struct dirent *entry;
        int r = 0;

        if (!dir)
                return -errno;
        while (r == 0 && (entry = readdir(dir))) {
                char path[NAME_MAX + 2];
                struct stat st;

                (void) snprintf(path, sizeof(path), "/%s", entry->d_name);
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                    strcmp(entry->d_name, "proc") == 0 || lstat(path, &st) < 0 ||
                    !S_ISDIR(st.st_mode))
                        continue;
                if (mount("sandbox", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                          "mode=0555,size=4k,nr_inodes=2") < 0)
                        r = -errno;
        }
        (void) closedir(dir);
        return r;
}

/**
 * jail_change_root() - an empty root, but for /proc/self/fd, by which Unix sockets in open directories are reached
 * @root: where it is mounted; NULL for anywhere
 *
 * After jail_leave_namespaces(). Return: 0 or negative errno.
 */
int jail_change_root(const char *root) {
        _cleanup_(fd_closep) int descriptors = -EBADF;
        int r;

        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return -errno;
        descriptors = open_tree(AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (descriptors < 0)
                return -errno;
        root = root ?: DEFAULT_ROOT;
        if (mount("sandbox", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                  "mode=0755,size=4k,nr_inodes=8") < 0 ||
            chdir(root) < 0)
                return -errno;
        r = furnish(descriptors);
        if (r == 0)
                return make_root();
        if (chdir("/") < 0 || umount2(root, MNT_DETACH) < 0)
                return -errno;
        /* Who is nobody in the new namespace can make nothing there: root without CAP_SETFCAP, since Linux 5.12. */
        return r == -EOVERFLOW ? cover_root() : r;
}
