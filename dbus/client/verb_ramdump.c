/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "dbus/client/errors.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

#define COPY_BYTES (1u << 20)

/* Memory of a guest that runs, as it is now. */
static int dump_running(Client *client, const char *path, int file, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "DumpMemory", &call, reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "h", file);
        if (r < 0)
                return r;
        r = client_send(client, call, NULL, &error);
        return r < 0 ? client_call_error(client, &error, r, "cannot dump its memory", reterr) : 0;
}

/* From @offset to the next hole, or to the end. */
static int copy_data(int from, int to, uint64_t offset, uint64_t end) {
        _cleanup_(freep) char *buf = malloc(COPY_BYTES);

        if (!buf)
                return -ENOMEM;
        if (lseek(to, (off_t) offset, SEEK_SET) < 0)
                return -errno;
        while (offset < end) {
                size_t n = (size_t) MIN(end - offset, (uint64_t) COPY_BYTES);
                int r = fd_pread_all(from, buf, n, offset);

                if (r >= 0)
                        r = fd_write_all(to, buf, n);
                if (r < 0)
                        return r;
                offset += n;
        }
        return 0;
}

/* Memory that the guest never touched is a hole in the dump, and so it is in the copy. */
static int copy_sparse(int from, int to) {
        off_t size = lseek(from, 0, SEEK_END), data = 0, hole;

        if (size < 0 || ftruncate(to, size) < 0)
                return -errno;
        while ((data = lseek(from, data, SEEK_DATA)) >= 0) {
                int r;

                hole = lseek(from, data, SEEK_HOLE);
                if (hole < 0)
                        return -errno;
                r = copy_data(from, to, (uint64_t) data, (uint64_t) hole);
                if (r < 0)
                        return r;
                data = hole;
        }
        return errno == ENXIO ? 0 : -errno;
}

/* What was kept of one whose guest panicked. */
static int fetch_kept(Client *client, const char *path, int file, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int kept, r;

        r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "OpenRamdump", &call, reterr);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot get its memory", reterr);
        r = sd_bus_message_read(reply, "h", &kept);
        if (r < 0)
                return r;
        r = copy_sparse(kept, file);
        return r < 0 ? text_error_set(reterr, r, "cannot copy the dump: %s", strerror(-r)) : 0;
}

/**
 * verb_ramdump() - `vivctl ramdump VM FILE`: the guest's memory as it is, or as it was when it panicked
 *
 * Return: exit status; negative errno.
 */
int verb_ramdump(Client *client, const Args *args, TextError *reterr) {
        const char *name = args->operands[1];
        _cleanup_(freep) char *path = NULL, *state = NULL;
        _cleanup_(fd_closep) int file = -EBADF;
        int r;

        r = client_find_vm(client, args->operands[0], &path, reterr);
        if (r < 0)
                return r;
        r = sd_bus_get_property_string(client->bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE,
                                       "State", NULL, &state);
        if (r < 0)
                return text_error_set(reterr, r, "cannot read its state: %s", strerror(-r));
        file = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0)
                return text_error_set(reterr, -errno, "%s: %s", name, strerror(errno));
        r = str_eq(state, "running") ? dump_running(client, path, file, reterr)
                                     : fetch_kept(client, path, file, reterr);
        if (r < 0)
                (void) unlink(name);
        return r;
}
