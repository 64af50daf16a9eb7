/* SPDX-License-Identifier: Apache-2.0 */
#include "service/manager/host_devices.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "config/assignable.h"

/*
 * Only what the administrator wrote is looked up in sysfs. What a client names is compared with it as text, so that no
 * path of a client's is ever followed.
 */

/** host_devices_deinit() - release the list */
void host_devices_deinit(HostDevices *devices) {
        for (size_t i = 0; i < devices->n; i++) {
                free(devices->items[i].listed);
                free(devices->items[i].path);
                free(devices->items[i].kind);
                free(devices->items[i].driver);
        }
        free(devices->items);
        *devices = (HostDevices){0};
}

static bool is_pci_address(const char *name) {
        static const char shape[] = "xxxx:xx:xx.x";
        size_t i = 0;

        while (name[i] && (shape[i] == 'x' ? strchr("0123456789abcdef", name[i]) != NULL
                                           : name[i] == shape[i]))
                i++;
        return i == sizeof(shape) - 1 && !name[i];
}

/* The last component of what the link NAME in @dir points to; "" without one. */
static int link_name(const char *dir, const char *name, char **ret) {
        _cleanup_(freep) char *path = NULL;
        char target[PATH_MAX];
        const char *slash;
        ssize_t n;

        if (asprintf(&path, "%s/%s", dir, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        slash = strrchr(target, '/');
        *ret = strdup(slash ? slash + 1 : target);
        return *ret ? 0 : -ENOMEM;
}

static const HostDevice *find_address(const HostDevices *devices, const char *address) {
        for (size_t i = 0; i < devices->n; i++)
                if (str_eq(devices->items[i].address, address))
                        return &devices->items[i];
        return NULL;
}

/* The directory that a listed path is, if it is one of a PCI function below @sysfs. Return: 0; -ENOENT; -ENOMEM. */
static int find_directory(const char *listed, const char *sysfs, char **ret) {
        _cleanup_(freep) char *real = realpath(listed, NULL), *root = realpath(sysfs, NULL);
        _cleanup_(freep) char *subsystem = NULL;
        const char *below = real && root ? str_after_prefix(real, root) : NULL;
        int r;

        if (!below || !str_after_prefix(below, "/devices/") ||
            !is_pci_address(strrchr(real, '/') + 1))
                return -ENOENT;
        r = link_name(real, "subsystem", &subsystem);
        if (r < 0)
                return r;
        if (!str_eq(subsystem, "pci"))
                return -ENOENT;
        *ret = TAKE(real);
        return 0;
}

/* As in Android, what is listed twice counts once, and what is not there not at all. */
static int add_device(HostDevices *devices, const Assignable *listed, const char *sysfs) {
        HostDevice *device = &devices->items[devices->n];
        _cleanup_(freep) char *dir = NULL;
        const char *address;
        int r = find_directory(listed->path, sysfs, &dir);

        if (r == -ENOENT)
                log_debug("assignable device %s: no PCI function of this host, ignoring",
                          listed->path);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        address = strrchr(dir, '/') + 1;
        if (find_address(devices, address))
                return 0;
        *device = (HostDevice){.listed = strdup(listed->path), .kind = strdup(listed->kind)};
        devices->n++;
        (void) snprintf(device->address, sizeof(device->address), "%s", address);
        if (asprintf(&device->path, "%s/bus/pci/devices/%s", sysfs, address) < 0)
                device->path = NULL;
        if (!device->listed || !device->kind || !device->path)
                return -ENOMEM;
        return link_name(dir, "driver", &device->driver);
}

static int load(const char *file, AssignableList *ret, TextError *reterr) {
        _cleanup_(fd_closep) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        _cleanup_(freep) char *text = NULL;
        int r;

        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 0;
        if (fd < 0)
                return text_error_set(reterr, -errno, "%s: %s", file, strerror(errno));
        r = fd_read_bounded(fd, ASSIGNABLE_JSON_MAX, &text, NULL);
        if (r < 0)
                return text_error_set(reterr, r, "%s: %s", file, strerror(-r));
        r = assignable_parse(text, ret, reterr);
        return r < 0 ? text_error_prefix(reterr, r, "%s", file) : 0;
}

/**
 * host_devices_load() - read the list anew, as it and the host may have changed
 * @file:  that may not be there: then there are none
 * @sysfs: where it is mounted
 * @ret:   set on success only; release with host_devices_deinit()
 *
 * Return: 0; negative errno, with a sentence where the file is wrong.
 */
int host_devices_load(const char *file, const char *sysfs, HostDevices *ret, TextError *reterr) {
        _cleanup_(assignable_list_deinit) AssignableList list = {0};
        _cleanup_(host_devices_deinit) HostDevices devices = {0};
        int r = load(file, &list, reterr);

        if (r < 0)
                return r;
        devices.items = calloc(list.n + 1, sizeof(*devices.items));
        if (!devices.items)
                return -ENOMEM;
        for (size_t i = 0; i < list.n; i++) {
                r = add_device(&devices, &list.items[i], sysfs);
                if (r < 0)
                        return r;
        }
        *ret = devices;
        devices = (HostDevices){0};
        return 0;
}

/** host_devices_find() - the one that a client means by @path, as it is listed or as all know it; NULL for none */
const HostDevice *host_devices_find(const HostDevices *devices, const char *path) {
        for (size_t i = 0; i < devices->n; i++)
                if (str_eq(devices->items[i].path, path) || str_eq(devices->items[i].listed, path))
                        return &devices->items[i];
        return NULL;
}
