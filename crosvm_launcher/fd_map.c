/* SPDX-License-Identifier: Apache-2.0 */
#include "crosvm_launcher/fd_map.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

/*
 * Moving descriptors to given numbers is a parallel assignment: a number that is wanted may be another descriptor's
 * source. Copying all of them out of the way first would need twice as many and fail at RLIMIT_NOFILE, so each is moved
 * after the one that its number is the source of, and only a ring of them costs one spare descriptor.
 */

/** fd_map_deinit() - forget the map; no descriptor is closed */
void fd_map_deinit(FdMap *map) {
        free(map->sources);
        *map = (FdMap){0};
}

/**
 * fd_map_add() - keep @fd (borrowed until fd_map_apply())
 * @ret_target: its number in the VMM; the same for the same @fd
 *
 * Return: 0; -EBADF; -ENOMEM.
 */
int fd_map_add(FdMap *map, int fd, int *ret_target) {
        if (fcntl(fd, F_GETFD) < 0)
                return -errno;
        for (size_t i = 0; i < map->n; i++)
                if (map->sources[i] == fd) {
                        *ret_target = FD_MAP_FIRST + (int) i;
                        return 0;
                }
        if (map->n == map->room) {
                size_t room = map->room ? map->room * 2 : 32;
                int *grown = reallocarray(map->sources, room, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                map->sources = grown;
                map->room = room;
        }
        map->sources[map->n] = fd;
        *ret_target = FD_MAP_FIRST + (int) map->n++;
        return 0;
}

/** fd_map_end() - the first number that the map leaves free */
int fd_map_end(const FdMap *map) {
        return FD_MAP_FIRST + (int) map->n;
}

typedef enum MoveState {
        MOVE_PENDING,
        MOVE_WAITING, /* on the stack, until the descriptor in its place has moved */
        MOVE_DONE,
} MoveState;

typedef struct Mover {
        int *sources;     /* owned copy; changed where a ring is opened */
        MoveState *state; /* owned */
        size_t *stack;    /* owned */
        size_t n;
        int end;   /* fd_map_end() */
        int spare; /* owned; where the descriptor that opened a ring waits */
} Mover;

static void mover_deinit(Mover *mover) {
        free(mover->sources);
        free(mover->state);
        free(mover->stack);
        (void) fd_close(mover->spare);
}

/* The map entry, not yet moved, that still needs what is at @fd; n if none. */
static size_t find_pending(const Mover *mover, int fd) {
        for (size_t i = 0; i < mover->n; i++)
                if (mover->sources[i] == fd && mover->state[i] != MOVE_DONE)
                        return i;
        return mover->n;
}

static int move_one(Mover *mover, size_t i) {
        int target = FD_MAP_FIRST + (int) i, source = mover->sources[i];

        mover->state[i] = MOVE_DONE;
        if (source == target)
                return fd_set_cloexec(target, false);
        if (dup3(source, target, 0) < 0)
                return -errno;
        if (source == mover->spare)
                mover->spare = fd_close(mover->spare);
        return 0;
}

/* Puts what is at the target of @i aside, since its own move waits for that of @i. */
static int open_ring(Mover *mover, size_t i, size_t waiting) {
        int copy = fcntl(mover->sources[waiting], F_DUPFD_CLOEXEC, mover->end);

        if (copy < 0)
                return -errno;
        mover->spare = copy;
        mover->sources[waiting] = copy;
        return 0;
}

/* Moves @i and, before it, the chain of those that are in the way. */
static int move_chain(Mover *mover, size_t i) {
        size_t depth = 0;
        int r;

        mover->stack[depth++] = i;
        mover->state[i] = MOVE_WAITING;
        while (depth > 0) {
                size_t top = mover->stack[depth - 1];
                size_t blocker = find_pending(mover, FD_MAP_FIRST + (int) top);

                if (blocker < mover->n && blocker != top) {
                        if (mover->state[blocker] == MOVE_PENDING) {
                                mover->state[blocker] = MOVE_WAITING;
                                mover->stack[depth++] = blocker;
                                continue;
                        }
                        r = open_ring(mover, top, blocker);
                        if (r < 0)
                                return r;
                }
                r = move_one(mover, top);
                if (r < 0)
                        return r;
                depth--;
        }
        return 0;
}

static int check_sources(const FdMap *map) {
        for (size_t i = 0; i < map->n; i++)
                if (fcntl(map->sources[i], F_GETFD) < 0)
                        return -errno;
        return 0;
}

/**
 * fd_map_apply() - put every descriptor of the map at its number, inheritable
 *
 * What was at those numbers is gone, unless it is in the map too; sources outside of them stay open. After a failure
 * the numbers from FD_MAP_FIRST to fd_map_end() are in no known state.
 *
 * Return: 0; -EBADF when a descriptor of the map is closed, with nothing moved; other negative errno.
 */
int fd_map_apply(const FdMap *map) {
        _cleanup_(mover_deinit)
                Mover mover = {.n = map->n, .end = fd_map_end(map), .spare = -EBADF};
        int r;

        r = check_sources(map);
        if (r < 0 || map->n == 0)
                return r;
        mover.sources = calloc(map->n, sizeof(*mover.sources));
        mover.state = calloc(map->n, sizeof(*mover.state));
        mover.stack = calloc(map->n, sizeof(*mover.stack));
        if (!mover.sources || !mover.state || !mover.stack)
                return -ENOMEM;
        for (size_t i = 0; i < map->n; i++)
                mover.sources[i] = map->sources[i];
        for (size_t i = 0; i < map->n; i++) {
                r = mover.state[i] == MOVE_PENDING ? move_chain(&mover, i) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static DIR *dir_close(DIR *dir) {
        (void) closedir(dir);
        return NULL;
}
DEFINE_CLEANUP(DIR *, dir_close)

/** fd_close_all_from_by_proc() - fd_close_all_from() for kernels and sandboxes without close_range */
int fd_close_all_from_by_proc(int first) {
        _cleanup_(dir_closep) DIR *dir = opendir("/proc/self/fd");

        if (!dir)
                return -errno;
        for (;;) {
                struct dirent *entry;
                int fd;

                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return errno > 0 ? -errno : 0;
                if (parse_fd(entry->d_name, &fd) == 0 && fd >= first && fd != dirfd(dir))
                        (void) close(fd);
        }
}

/** fd_close_all_from() - close every descriptor from @first up. Return: 0 or negative errno. */
int fd_close_all_from(int first) {
        if (close_range((unsigned) first, UINT_MAX, 0) == 0)
                return 0;
        return fd_close_all_from_by_proc(first);
}
