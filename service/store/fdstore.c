/* SPDX-License-Identifier: Apache-2.0 */
#include "service/store/fdstore.h"

#include <systemd/sd-daemon.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"

#define NAME_BYTES_MAX 128u

typedef struct Stored {
        char *name; /* owned */
        int fd;     /* owned; -EBADF once taken */
} Stored;

struct FdStore {
        bool active;
        Stored *received; /* owned array; what an earlier daemon pushed */
        size_t n_received;
};

static void format_name(char *buf, size_t size, const char *id, const char *what) {
        (void) snprintf(buf, size, "vm-%s-%s", id, what);
}

/* sd_listen_fds_with_names() hands out one string for each descriptor, of which ours takes the ownership. */
static int receive(FdStore *store) {
        char **names = NULL;
        int n = sd_listen_fds_with_names(/* unset_environment= */ 1, &names);

        if (n < 0)
                log_warning("take over descriptors: %s, ignoring", strerror(-n));
        if (n <= 0)
                return 0;
        store->received = calloc((size_t) n, sizeof(*store->received));
        for (int i = 0; i < n; i++) {
                if (store->received)
                        store->received[store->n_received++] =
                                (Stored){names[i], SD_LISTEN_FDS_START + i};
                else {
                        (void) fd_close(SD_LISTEN_FDS_START + i);
                        free(names[i]);
                }
        }
        free(names);
        return store->received ? 0 : -ENOMEM;
}

/** fdstore_new() - take over what systemd kept; once in the life of a daemon. Return: 0 or negative errno. */
int fdstore_new(FdStore **ret) {
        _cleanup_(fdstore_freep) FdStore *store = calloc(1, sizeof(*store));
        int r;

        if (!store)
                return -ENOMEM;
        store->active = getenv("NOTIFY_SOCKET") != NULL;
        r = receive(store);
        if (r < 0)
                return r;
        *ret = TAKE(store);
        return 0;
}

/** fdstore_free() - close what was received and not asked for. @store may be NULL. Return: NULL. */
FdStore *fdstore_free(FdStore *store) {
        if (!store)
                return NULL;
        for (size_t i = 0; i < store->n_received; i++) {
                (void) fd_close(store->received[i].fd);
                free(store->received[i].name);
        }
        free(store->received);
        free(store);
        return NULL;
}

/** fdstore_push() - have @fd kept; who cannot be asked, or has no room, is logged and no error */
void fdstore_push(FdStore *store, const char *id, const char *what, int fd) {
        char name[NAME_BYTES_MAX], state[NAME_BYTES_MAX + 64];
        int r;

        if (!store->active || fd < 0)
                return;
        format_name(name, sizeof(name), id, what);
        /* Else a pipe without writers would be dropped, and with it what is still in it. */
        (void) snprintf(state, sizeof(state), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
        r = sd_pid_notify_with_fds(0, /* unset_environment= */ 0, state, &fd, 1);
        if (r < 0)
                log_warning("keep descriptor %s with systemd: %s, ignoring", name, strerror(-r));
}

/** fdstore_remove() - what was kept, by this daemon or an earlier one, is not needed any more */
void fdstore_remove(FdStore *store, const char *id, const char *what) {
        char name[NAME_BYTES_MAX];

        if (!store->active)
                return;
        format_name(name, sizeof(name), id, what);
        (void) sd_notifyf(/* unset_environment= */ 0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/** fdstore_take() - what an earlier daemon pushed, owned by the caller; -EBADF if there is none */
int fdstore_take(FdStore *store, const char *id, const char *what) {
        char name[NAME_BYTES_MAX];

        format_name(name, sizeof(name), id, what);
        for (size_t i = 0; i < store->n_received; i++)
                if (store->received[i].fd >= 0 && str_eq(store->received[i].name, name))
                        return TAKE_FD(store->received[i].fd);
        return -EBADF;
}

/** fdstore_drop_rest() - what nobody took belongs to nothing that still is */
void fdstore_drop_rest(FdStore *store) {
        size_t n = 0;

        for (size_t i = 0; i < store->n_received; i++) {
                Stored *stored = &store->received[i];

                if (stored->fd < 0)
                        continue;
                (void) fd_close(TAKE_FD(stored->fd));
                if (store->active)
                        (void) sd_notifyf(/* unset_environment= */ 0, "FDSTOREREMOVE=1\nFDNAME=%s",
                                          stored->name);
                n++;
        }
        if (n > 0)
                log_info("dropped %zu stale descriptors", n);
}
