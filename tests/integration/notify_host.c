/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/notify_host.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/str.h"

#define KEPT_MAX 4096u

typedef struct Kept {
        char name[128];
        int fd;
} Kept;

struct NotifyHost {
        char path[128];
        int fd;
        pthread_t thread;
        pthread_mutex_t lock;
        Kept kept[KEPT_MAX];
        size_t n;
};

static void forget(NotifyHost *host, const char *name) {
        for (size_t i = 0; i < host->n;)
                if (str_eq(host->kept[i].name, name)) {
                        (void) fd_close(host->kept[i].fd);
                        host->kept[i] = host->kept[--host->n];
                } else
                        i++;
}

static void take_message(NotifyHost *host, char *text, int fd) {
        bool push = false, remove = false;
        const char *name = "stored", *value;
        char *state = NULL;

        for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
                push |= str_eq(line, "FDSTORE=1");
                remove |= str_eq(line, "FDSTOREREMOVE=1");
                value = str_after_prefix(line, "FDNAME=");
                if (value)
                        name = value;
        }
        if (remove)
                forget(host, name);
        if (push && fd >= 0 && host->n < KEPT_MAX) {
                (void) snprintf(host->kept[host->n].name, sizeof(host->kept[0].name), "%s", name);
                host->kept[host->n++].fd = fd;
        } else
                (void) fd_close(fd);
}

/* Return: false at the end: an empty message. */
static bool receive(NotifyHost *host) {
        char text[4096], control[CMSG_SPACE(sizeof(int) * 16)];
        struct iovec iov = {text, sizeof(text) - 1};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control)};
        int fd = -EBADF;
        ssize_t n = recvmsg(host->fd, &message, MSG_CMSG_CLOEXEC);

        if (n <= 0)
                return false;
        text[n] = '\0';
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
                        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        (void) pthread_mutex_lock(&host->lock);
        take_message(host, text, fd);
        (void) pthread_mutex_unlock(&host->lock);
        return true;
}

static void *serve(void *userdata) {
        while (receive(userdata))
                ;
        return NULL;
}

/** notify_host_new() - listen in @directory */
NotifyHost *notify_host_new(const char *directory) {
        NotifyHost *host = calloc(1, sizeof(*host));
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        assert_non_null(host);
        (void) snprintf(host->path, sizeof(host->path), "%s/notify", directory);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", host->path);
        host->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_true(host->fd >= 0);
        assert_int_equal(bind(host->fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(pthread_mutex_init(&host->lock, NULL), 0);
        assert_int_equal(pthread_create(&host->thread, NULL, serve, host), 0);
        return host;
}

static void send_empty(const NotifyHost *host) {
        _cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", host->path);
        assert_int_equal(sendto(fd, "", 0, 0, (struct sockaddr *) &address, sizeof(address)), 0);
}

NotifyHost *notify_host_free(NotifyHost *host) {
        if (!host)
                return NULL;
        send_empty(host);
        (void) pthread_join(host->thread, NULL);
        for (size_t i = 0; i < host->n; i++)
                (void) fd_close(host->kept[i].fd);
        (void) fd_close(host->fd);
        (void) unlink(host->path);
        free(host);
        return NULL;
}

/** notify_host_address() - for $NOTIFY_SOCKET */
const char *notify_host_address(const NotifyHost *host) {
        return host->path;
}

/** notify_host_settle() - all that a dead daemon sent has been taken; an own message comes behind it */
void notify_host_settle(NotifyHost *host) {
        send_empty(host);
        (void) pthread_join(host->thread, NULL);
        assert_int_equal(pthread_create(&host->thread, NULL, serve, host), 0);
}

/** notify_host_list() - what is kept: duplicates, CLOEXEC, and their names with ':' between. Return: how many. */
size_t notify_host_list(NotifyHost *host, int *fds, size_t max, char *names, size_t names_size) {
        size_t len = 0;

        (void) pthread_mutex_lock(&host->lock);
        assert_true(host->n <= max);
        names[0] = '\0';
        for (size_t i = 0; i < host->n; i++) {
                fds[i] = fd_dup_cloexec(host->kept[i].fd);
                assert_true(fds[i] >= 0);
                len += (size_t) snprintf(names + len, names_size - len, "%s%s", i > 0 ? ":" : "",
                                         host->kept[i].name);
                assert_true(len < names_size);
        }
        max = host->n;
        (void) pthread_mutex_unlock(&host->lock);
        return max;
}
