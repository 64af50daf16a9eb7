/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A library that makes one call of the daemon fail, to be preloaded: the kernel would say the same when a disk is full,
 * or descriptors or processes are used up, but not at the moment that a test wants. Calls that other libraries
 * make for the daemon count, too. Its launcher gets the library as well, and so what becomes the VMM's keeper.
 */
#include "tests/fake/faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#pragma GCC visibility push(default)

static Faults *faults; /* NULL in every other program */
static bool launcher;

static __attribute__((constructor)) void load(void) {
        const char *path = getenv(FAULTS_ENVIRONMENT), *name = program_invocation_short_name;
        void *page;
        int fd;

        launcher = strcmp(name, "vivarium-launch") == 0;
        if (!path || (!launcher && strcmp(name, "vivariumd") != 0))
                return;
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return;
        page = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void) close(fd);
        if (page == MAP_FAILED)
                return;
        faults = page;
        faults->loaded = 1;
}

/* Whether this call is the one; errno is set if it is. */
static bool fails(FaultCall call) {
        if (!faults || !faults->armed || faults->launcher != launcher ||
            faults->call != (int) call || atomic_fetch_sub(&faults->countdown, 1) != 1)
                return false;
        faults->hit = 1;
        errno = faults->error;
        return true;
}

/* The function that would have been called without this library. */
#define NEXT(name)                                                                                 \
        ({                                                                                         \
                static typeof(&(name)) _next;                                                      \
                if (!_next)                                                                        \
                        _next = (typeof(&(name))) dlsym(RTLD_NEXT, #name);                         \
                _next;                                                                             \
        })

/* ---- descriptors and files ---- */

static mode_t mode_of(int flags, va_list list) {
        return flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define WRAP_OPEN(name)                                                                            \
        int name(const char *path, int flags, ...) {                                               \
                va_list list;                                                                      \
                mode_t mode;                                                                       \
                                                                                                   \
                va_start(list, flags);                                                             \
                mode = mode_of(flags, list);                                                       \
                va_end(list);                                                                      \
                return fails(FAULT_OPEN) ? -1 : NEXT(name)(path, flags, mode);                     \
        }

#define WRAP_OPENAT(name)                                                                          \
        int name(int dir, const char *path, int flags, ...) {                                      \
                va_list list;                                                                      \
                mode_t mode;                                                                       \
                                                                                                   \
                va_start(list, flags);                                                             \
                mode = mode_of(flags, list);                                                       \
                va_end(list);                                                                      \
                return fails(FAULT_OPEN) ? -1 : NEXT(name)(dir, path, flags, mode);                \
        }

WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)

/* What a fortified program calls instead. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

int __open_2(const char *path, int flags) {
        return open(path, flags, 0);
}

int __open64_2(const char *path, int flags) {
        return open64(path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags) {
        return openat(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags) {
        return openat64(dir, path, flags, 0);
}

ssize_t write(int fd, const void *data, size_t len) {
        return fails(FAULT_WRITE) ? -1 : NEXT(write)(fd, data, len);
}

int fsync(int fd) {
        return fails(FAULT_FSYNC) ? -1 : NEXT(fsync)(fd);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
        return fails(FAULT_RENAME) ? -1 : NEXT(renameat)(from_dir, from, to_dir, to);
}

int mkdir(const char *path, mode_t mode) {
        return fails(FAULT_MKDIR) ? -1 : NEXT(mkdir)(path, mode);
}

int memfd_create(const char *name, unsigned flags) {
        return fails(FAULT_MEMFD) ? -1 : NEXT(memfd_create)(name, flags);
}

int socket(int domain, int type, int protocol) {
        return fails(FAULT_SOCKET) ? -1 : NEXT(socket)(domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int fds[2]) {
        return fails(FAULT_SOCKET) ? -1 : NEXT(socketpair)(domain, type, protocol, fds);
}

int pipe2(int fds[2], int flags) {
        return fails(FAULT_PIPE) ? -1 : NEXT(pipe2)(fds, flags);
}

int pidfd_open(pid_t pid, unsigned flags) {
        return fails(FAULT_PIDFD) ? -1 : NEXT(pidfd_open)(pid, flags);
}

int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event) {
        return op == EPOLL_CTL_ADD && fails(FAULT_EPOLL) ? -1
                                                         : NEXT(epoll_ctl)(epoll, op, fd, event);
}

/* All that is done with it here takes one argument of the size of a pointer, or none. */
#define WRAP_FCNTL(name)                                                                           \
        int name(int fd, int command, ...) {                                                       \
                va_list list;                                                                      \
                void *argument;                                                                    \
                                                                                                   \
                va_start(list, command);                                                           \
                argument = va_arg(list, void *);                                                   \
                va_end(list);                                                                      \
                if (command == F_DUPFD_CLOEXEC && fails(FAULT_DUP))                                \
                        return -1;                                                                 \
                return NEXT(name)(fd, command, argument);                                          \
        }

WRAP_FCNTL(fcntl)
WRAP_FCNTL(fcntl64)

ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *address,
               socklen_t address_len) {
        return fails(FAULT_DATAGRAM) ? -1
                                     : NEXT(sendto)(fd, data, len, flags, address, address_len);
}

/* ---- memory ---- */

/* By the C library's own names, for what looks for the next function of a name allocates, too. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size) {
        return fails(FAULT_MEMORY) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
        return fails(FAULT_MEMORY) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
        return fails(FAULT_MEMORY) ? NULL : __libc_realloc(p, size);
}

/*
 * json-c does not look whether it got its copy of a key (json_tokener.c of 0.16) and crashes without. Then the daemon ends
 * as by any other crash, which the storm of kills is the test of; here it would hide what comes behind.
 */
static bool is_json_c(const void *caller) {
        Dl_info info;

        return dladdr(caller, &info) != 0 && info.dli_fname && strstr(info.dli_fname, "libjson-c");
}

char *strdup(const char *text) {
        size_t size = strlen(text) + 1;
        char *copy;

        if (!is_json_c(__builtin_return_address(0)) && fails(FAULT_MEMORY))
                return NULL;
        copy = __libc_malloc(size);
        return copy ? memcpy(copy, text, size) : NULL;
}

/* ---- processes ---- */

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const *argv, char *const *environment) {
        if (fails(FAULT_SPAWN))
                return errno;
        /* The daemon gives an empty one, without this library. */
        return NEXT(posix_spawn)(pid, path, actions, attributes, argv,
                                 faults ? environ : environment);
}

pid_t fork(void) {
        return fails(FAULT_SPAWN) ? -1 : NEXT(fork)();
}
