/* SPDX-License-Identifier: Apache-2.0 */
#include "service/store/ramdumps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"

#define FOLDER "ramdumps"
#define PARTIAL ".part"
#define COMPLETE ".core"
#define ID_LEN 32u
#define NAME_SIZE (ID_LEN + sizeof(PARTIAL))
#define BLOCK_BYTES 512u /* unit of st_blocks */

struct Ramdumps {
        RamdumpLimits limits;
        char *path; /* owned */
        int dir;    /* owned */
};

typedef struct Dump {
        char name[NAME_SIZE];
        struct timespec written;
        uint64_t bytes;
} Dump;

typedef struct DumpList {
        Dump *items; /* owned array */
        size_t n, room;
} DumpList;

static void dump_list_deinit(DumpList *list) {
        free(list->items);
}

static bool name_ends(const char *name, const char *suffix) {
        return strlen(name) == ID_LEN + strlen(suffix) &&
               strspn(name, "0123456789abcdef") == ID_LEN && str_eq(name + ID_LEN, suffix);
}

static void set_name(char name[NAME_SIZE], const char *id, const char *suffix) {
        (void) snprintf(name, NAME_SIZE, "%.*s%s", (int) ID_LEN, id, suffix);
}

/**
 * ramdumps_new() - the folder, made where it is missing
 * @state_dir: exists; the folder is below it
 *
 * Return: 0 or negative errno.
 */
int ramdumps_new(const char *state_dir, const RamdumpLimits *limits, Ramdumps **ret) {
        _cleanup_(ramdumps_freep) Ramdumps *dumps = malloc(sizeof(*dumps));

        if (!dumps)
                return -ENOMEM;
        *dumps = (Ramdumps){.limits = *limits, .dir = -EBADF};
        if (asprintf(&dumps->path, "%s/" FOLDER, state_dir) < 0) {
                dumps->path = NULL;
                return -ENOMEM;
        }
        if (mkdir(dumps->path, 0700) < 0 && errno != EEXIST)
                return -errno;
        dumps->dir = open(dumps->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (dumps->dir < 0)
                return -errno;
        *ret = TAKE(dumps);
        return 0;
}

/** ramdumps_free() - the files stay. Return: NULL. */
Ramdumps *ramdumps_free(Ramdumps *dumps) {
        if (!dumps)
                return NULL;
        (void) fd_close(dumps->dir);
        free(dumps->path);
        free(dumps);
        return NULL;
}

/**
 * ramdumps_begin() - an empty file for what may become the dump of VM @id
 *
 * Return: descriptor open for writing, owned by the caller; negative errno.
 */
int ramdumps_begin(Ramdumps *dumps, const char *id) {
        char name[NAME_SIZE];
        int fd;

        set_name(name, id, PARTIAL);
        fd = openat(dumps->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        return fd < 0 ? -errno : fd;
}

static int add_dump(DumpList *list, int dir, const char *name) {
        struct stat st;
        Dump *dump;

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (list->n == list->room) {
                size_t room = list->room ? list->room * 2 : 16;
                Dump *grown = reallocarray(list->items, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                list->items = grown;
                list->room = room;
        }
        dump = &list->items[list->n++];
        *dump = (Dump){.written = st.st_mtim, .bytes = (uint64_t) st.st_blocks * BLOCK_BYTES};
        (void) snprintf(dump->name, sizeof(dump->name), "%s", name);
        return 0;
}

/* Calls @fn for every file of ours with that suffix, until it returns other than 0. */
static int each_file(const Ramdumps *dumps, const char *suffix,
                     int (*fn)(void *userdata, const char *name), void *userdata) {
        int fd = openat(dumps->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;

        if (!dir) {
                r = -errno;
                (void) fd_close(fd);
                return r;
        }
        while (r == 0 && (entry = readdir(dir)))
                if (name_ends(entry->d_name, suffix))
                        r = fn(userdata, entry->d_name);
        (void) closedir(dir);
        return r;
}

typedef struct Listing {
        const Ramdumps *dumps;
        DumpList list;
} Listing;

static int list_one(void *userdata, const char *name) {
        Listing *listing = userdata;

        return add_dump(&listing->list, listing->dumps->dir, name);
}

static int newest_first(const void *a, const void *b) {
        const Dump *x = a, *y = b;

        if (x->written.tv_sec != y->written.tv_sec)
                return x->written.tv_sec < y->written.tv_sec ? 1 : -1;
        if (x->written.tv_nsec != y->written.tv_nsec)
                return x->written.tv_nsec < y->written.tv_nsec ? 1 : -1;
        return strcmp(x->name, y->name);
}

/* Removes what is beyond the limits. Return: 0 or negative errno. */
static int rotate(const Ramdumps *dumps) {
        Listing listing = {.dumps = dumps};
        uint64_t bytes = 0;
        int r;

        r = each_file(dumps, COMPLETE, list_one, &listing);
        if (r == 0 && listing.list.n > 1)
                qsort(listing.list.items, listing.list.n, sizeof(*listing.list.items),
                      newest_first);
        for (size_t i = 0; i < listing.list.n && r == 0; i++) {
                const Dump *dump = &listing.list.items[i];

                bytes += dump->bytes;
                if ((i >= dumps->limits.count_max || bytes > dumps->limits.bytes_max) &&
                    unlinkat(dumps->dir, dump->name, 0) < 0)
                        r = -errno;
        }
        dump_list_deinit(&listing.list);
        return r;
}

/**
 * ramdumps_end() - VM @id has ended, and with it what it wrote
 * @keep:     it may be whole; an empty one never is kept
 * @ret_path: owned by the caller; NULL unless there is a dump now
 *
 * Return: 0; -ENOSPC when the dump alone is larger than all may be, and so was dropped; other negative errno.
 */
int ramdumps_end(Ramdumps *dumps, const char *id, bool keep, char **ret_path) {
        char partial[NAME_SIZE], complete[NAME_SIZE];
        struct stat st;
        int r;

        *ret_path = NULL;
        set_name(partial, id, PARTIAL);
        set_name(complete, id, COMPLETE);
        if (fstatat(dumps->dir, partial, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                /* An earlier daemon may have come as far as this. */
                if (errno != ENOENT || fstatat(dumps->dir, complete, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return errno == ENOENT ? 0 : -errno;
        } else if (!keep || st.st_size == 0)
                return unlinkat(dumps->dir, partial, 0) < 0 ? -errno : 0;
        else if (renameat(dumps->dir, partial, dumps->dir, complete) < 0)
                return -errno;
        r = rotate(dumps);
        if (r < 0)
                return r;
        if (faccessat(dumps->dir, complete, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return -ENOSPC;
        return asprintf(ret_path, "%s/%s", dumps->path, complete) < 0 ? -ENOMEM : 0;
}

/** ramdumps_open() - the dump of VM @id for reading. Return: descriptor, owned by the caller; -ENOENT; negative errno. */
int ramdumps_open(const Ramdumps *dumps, const char *id) {
        char name[NAME_SIZE];
        int fd;

        set_name(name, id, COMPLETE);
        fd = openat(dumps->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

typedef struct Sweep {
        const Ramdumps *dumps;
        RamdumpWantedFn wanted;
        void *userdata;
} Sweep;

static int drop_one(void *userdata, const char *name) {
        const Sweep *sweep = userdata;
        char id[ID_LEN + 1];

        (void) snprintf(id, sizeof(id), "%s", name);
        if (!sweep->wanted(sweep->userdata, id))
                (void) unlinkat(sweep->dumps->dir, name, 0);
        return 0;
}

/** ramdumps_drop_partial() - remove files that were begun for VMs that are no more */
void ramdumps_drop_partial(Ramdumps *dumps, RamdumpWantedFn wanted, void *userdata) {
        Sweep sweep = {.dumps = dumps, .wanted = wanted, .userdata = userdata};

        (void) each_file(dumps, PARTIAL, drop_one, &sweep);
}
