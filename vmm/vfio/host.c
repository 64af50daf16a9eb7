/* SPDX-License-Identifier: Apache-2.0 */

/* What sysfs says of a function: which one it is, its IOMMU group, and whether the host's drivers have let go of it. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "vmm/vfio/open_group.h"
#include "vmm/vfio/vfio_internal.h"

#define NAME_SIZE 256u

#define HOW_TO_BIND                                                                                \
        "bind it with `driverctl set-override %s vfio-pci`, or write vfio-pci to its "             \
        "driver_override, its address to driver/unbind and then to "                               \
        "/sys/bus/pci/drivers_probe"

/* The last component of what the link @path, in @dir_fd, points to; empty: there is no such link. */
static void link_name(int dir_fd, const char *path, char ret[static NAME_SIZE]) {
        char target[PATH_MAX];
        const ssize_t n = readlinkat(dir_fd, path, target, sizeof(target) - 1);
        const char *slash;

        target[n > 0 ? n : 0] = '\0';
        slash = strrchr(target, '/');
        (void) snprintf(ret, NAME_SIZE, "%.*s", (int) NAME_SIZE - 1, slash ? slash + 1 : target);
}

static bool is_hex(char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/** vfio_is_address() - "0000:00:04.0"? */
bool vfio_is_address(const char *name) {
        static const char shape[] = "xxxx:xx:xx.x";
        size_t i = 0;

        while (name[i] && (shape[i] == 'x' ? is_hex(name[i]) : name[i] == shape[i]))
                i++;
        return i == sizeof(shape) - 1 && !name[i];
}

/* vfio-pci itself, and those of its kind that know a device better. */
static bool is_vfio_driver(const char *driver) {
        return strstr(driver, "vfio") != NULL;
}

static int check_driver(int dir_fd, const char *address, TextError *reterr) {
        char driver[NAME_SIZE];

        link_name(dir_fd, "driver", driver);
        if (is_vfio_driver(driver))
                return 0;
        if (!*driver)
                return text_error_set(
                        reterr, -ENODEV,
                        "%s is bound to no driver, and must be to vfio-pci: " HOW_TO_BIND, address,
                        address);
        return text_error_set(reterr, -EBUSY,
                              "%s belongs to the host's driver %s, not to vfio-pci: " HOW_TO_BIND,
                              address, driver, address);
}

/* A group that VFIO made up, for a host without IOMMU. */
static bool is_noiommu(int dir_fd) {
        static const char noiommu[] = "vfio-noiommu";
        _cleanup_(fd_closep) int fd = openat(dir_fd, "iommu_group/name", O_RDONLY | O_CLOEXEC);
        char name[sizeof(noiommu)] = "";

        return fd >= 0 && read(fd, name, sizeof(name) - 1) == (ssize_t) sizeof(name) - 1 &&
               str_eq(name, noiommu);
}

static int find_group(int dir_fd, VfioHostFunction *host, TextError *reterr) {
        char group[NAME_SIZE];
        uint32_t number;

        link_name(dir_fd, "iommu_group", group);
        if (parse_u32(group, &number) < 0)
                return text_error_set(
                        reterr, -ENODEV,
                        "%s is behind no IOMMU: switch it on in the host's firmware, and boot the "
                        "host with intel_iommu=on or amd_iommu=on",
                        host->address);
        if (is_noiommu(dir_fd))
                return text_error_set(
                        reterr, -EPERM,
                        "%s is behind no IOMMU (VFIO's noiommu mode): the guest could "
                        "read and write all of the host's memory",
                        host->address);
        host->group = number;
        return 0;
}

/* The function's own directory: @path may be a link to it. */
static int open_directory(const char *path, char ret_name[static NAME_SIZE], TextError *reterr) {
        _cleanup_(freep) char *real = realpath(path, NULL);
        const char *slash;
        int fd;

        if (!real)
                return text_error_set(reterr, -errno, "%s", strerror(errno));
        fd = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return text_error_set(reterr, -errno, "%s", strerror(errno));
        slash = strrchr(real, '/');
        (void) snprintf(ret_name, NAME_SIZE, "%.*s", (int) NAME_SIZE - 1, slash ? slash + 1 : real);
        return fd;
}

/**
 * vfio_host_find() - the function that @path, /sys/bus/pci/devices/0000:00:04.0 or the like, is
 *
 * Return: 0; -EINVAL when it is none of PCI; -ENODEV, -EBUSY or -EPERM when a guest cannot have it; with a sentence that
 * says what to do.
 */
int vfio_host_find(const char *path, VfioHostFunction *ret, TextError *reterr) {
        char name[NAME_SIZE] = "", subsystem[NAME_SIZE];
        _cleanup_(fd_closep) int dir_fd = open_directory(path, name, reterr);
        VfioHostFunction host = {0};
        int r;

        if (dir_fd < 0)
                return dir_fd;
        link_name(dir_fd, "subsystem", subsystem);
        if (!str_eq(subsystem, "pci") || !vfio_is_address(name))
                return text_error_set(reterr, -EINVAL,
                                      "no PCI function: expected one of /sys/bus/pci/devices");
        memcpy(host.address, name, sizeof(host.address));
        r = find_group(dir_fd, &host, reterr);
        if (r >= 0)
                r = check_driver(dir_fd, host.address, reterr);
        if (r >= 0)
                *ret = host;
        return r;
}

/**
 * vfio_host_describe_group() - which functions of @path's IOMMU group the host's drivers still have
 * @buf: gets "0000:00:05.0 (nvme), 0000:00:06.0 (e1000e)", cut to @size; empty: none
 */
void vfio_host_describe_group(const char *path, char *buf, size_t size) {
        _cleanup_(strbuf_deinit) StrBuf dir = {0};
        _cleanup_(freep) char *name = NULL;
        size_t len = 0;
        DIR *devices;

        buf[0] = '\0';
        strbuf_printf(&dir, "%s/iommu_group/devices", path);
        if (strbuf_finish(&dir, &name) < 0)
                return;
        devices = opendir(name);
        if (!devices)
                return;
        for (const struct dirent *e = readdir(devices); e && len < size; e = readdir(devices)) {
                char link[NAME_SIZE + sizeof("/driver")], driver[NAME_SIZE];

                (void) snprintf(link, sizeof(link), "%s/driver", e->d_name);
                link_name(dirfd(devices), link, driver);
                if (e->d_name[0] == '.' || !*driver || is_vfio_driver(driver))
                        continue;
                len += (size_t) snprintf(buf + len, size - len, "%s%s (%s)", len > 0 ? ", " : "",
                                         e->d_name, driver);
        }
        (void) closedir(devices);
}

/**
 * vfio_open_group() - for a machine whose sandbox cannot: the IOMMU group of the function at @path
 * @ret_path: of the function, for the request; freed by the caller
 * @ret_fd:   the caller's; -EBADF: another process has it, which may be the machine that the function is for
 *
 * Return: 0; negative errno with a sentence.
 */
int vfio_open_group(const char *path, char **ret_path, int *ret_fd, TextError *reterr) {
        VfioHostFunction host = {0};
        char name[64];
        int fd, r;

        r = vfio_host_find(path, &host, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "%s", path);
        (void) snprintf(name, sizeof(name), "/dev/vfio/%u", host.group);
        fd = open(name, O_RDWR | O_CLOEXEC);
        if (fd < 0 && errno != EBUSY)
                return text_error_set(reterr, -errno, "cannot open %s, the IOMMU group of %s: %s",
                                      name, host.address, strerror(errno));
        if (asprintf(ret_path, "/sys/bus/pci/devices/%s", host.address) < 0) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        *ret_fd = fd < 0 ? -EBADF : fd;
        return 0;
}
