/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "base/le.h"
#include "vmm/block/block_internal.h"

/*
 * Opening a disk: which file, which format, may we. The format is told by the first bytes, as crosvm does it; an
 * image in a format that we do not read is refused by name, since taken for raw it would show the guest nonsense and
 * be destroyed by its writes.
 */

#define DIRECT_ALIGN_MAX 4096u

/**
 * block_format_refused() - the name of the image format that @head begins, if it is one that we do not read
 * @head:  the first @len bytes of the file
 *
 * Return: static text, or NULL for raw and composite images.
 */
const char *block_format_refused(const uint8_t *head, size_t len) {
        static const struct {
                const char *name;
                size_t offset;
                const char *magic;
                size_t magic_len;
        } formats[] = {
                {"qcow2", 0, "QFI\xfb", 4},
                {"QED", 0, "QED\0", 4},
                {"VMDK", 0, "KDMV", 4},
                {"VMDK", 0, "COWD", 4},
                {"VMDK", 0, "# Disk DescriptorFile", 21},
                {"VHDX", 0, "vhdxfile", 8},
                {"VHD", 0, "conectix", 8},
                {"VDI", 0x40, "\x7f\x10\xda\xbe", 4},
                {"Parallels", 0, "WithoutFreeSpace", 16},
                {"Parallels", 0, "WithouFreSpacExt", 16},
                {"Android sparse", 0, "\x3a\xff\x26\xed", 4},
                {"zstd", 0, "\x28\xb5\x2f\xfd", 4},
                {"xz", 0, "\xfd\x37zXZ\0", 6},
                {"gzip", 0, "\x1f\x8b\x08", 3},
        };

        for (size_t i = 0; i < ELEMENTSOF(formats); i++)
                if (formats[i].offset + formats[i].magic_len <= len &&
                    memcmp(head + formats[i].offset, formats[i].magic, formats[i].magic_len) == 0)
                        return formats[i].name;
        return NULL;
}

static int read_head(int fd, uint8_t head[static BLOCK_SNIFF_BYTES], size_t *ret_len) {
        /* Whoever passed the descriptor may have opened it for direct access, which takes whole blocks alone. */
        _Alignas(DIRECT_ALIGN_MAX) uint8_t block[DIRECT_ALIGN_MAX];
        ssize_t n;

        do
                n = pread(fd, block, sizeof(block), 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        *ret_len = MIN((size_t) n, BLOCK_SNIFF_BYTES);
        memcpy(head, block, *ret_len);
        return 0;
}

/* A descriptor's number does not tell which disk it is. */
static int name_file(BlockFile *file, const char *path) {
        char target[PATH_MAX];
        int fd;

        if (fd_path_parse(path, &fd) && fd_describe(file->fd, target, sizeof(target)) >= 0)
                path = target;
        file->name = strdup(path);
        return file->name ? 0 : -ENOMEM;
}

static int find_size(BlockFile *file, TextError *reterr) {
        struct stat st;

        if (fstat(file->fd, &st) < 0)
                return -errno;
        if (S_ISBLK(st.st_mode)) {
                if (ioctl(file->fd, BLKGETSIZE64, &file->size_bytes) < 0)
                        return text_error_prefix(reterr, -errno, "size of the block device");
        } else if (S_ISREG(st.st_mode))
                file->size_bytes = (uint64_t) st.st_size;
        else
                return text_error_set(reterr, -EINVAL,
                                      "it is neither a regular file nor a block device");
        file->optimal_bytes = st.st_blksize > 0 ? (uint32_t) st.st_blksize : 0;
        return 0;
}

static int lock_image(const BlockFile *file, TextError *reterr) {
        if (flock(file->fd, (file->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) >= 0)
                return 0;
        if (errno == EWOULDBLOCK)
                return text_error_set(reterr, -EBUSY,
                                      "%s is in use: another process holds a lock on it",
                                      file->name);
        return text_error_prefix(reterr, -errno, "lock %s", file->name);
}

/* Only trying tells what direct access asks of a file; beyond the end of an empty one, assume the most. */
static uint32_t probe_direct_align(int fd) {
        uint8_t *buffer = aligned_alloc(2 * DIRECT_ALIGN_MAX, 2 * DIRECT_ALIGN_MAX);
        uint32_t align = 512;

        if (!buffer)
                return DIRECT_ALIGN_MAX;
        /* The buffer itself is aligned no better than what is tried. */
        while (align < DIRECT_ALIGN_MAX &&
               pread(fd, buffer + align, align, align) != (ssize_t) align)
                align *= 2;
        free(buffer);
        return align;
}

static bool is_direct(int fd) {
        int flags = fcntl(fd, F_GETFL);

        return flags >= 0 && (flags & O_DIRECT);
}

/* A descriptor may be shared with whoever passed it, so direct access is not switched on in it but in one of its own. */
static int make_direct(BlockFile *file, const char *path, TextError *reterr) {
        char self[32];
        int fd;

        (void) snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
        fd = open(self, (file->read_only ? O_RDONLY : O_RDWR) | O_DIRECT | O_CLOEXEC);
        if (fd < 0)
                return text_error_set(reterr, -errno, "%s does not allow direct access: %s", path,
                                      strerror(errno));
        fd_close(file->fd);
        file->fd = fd;
        file->align_bytes = probe_direct_align(fd);
        return 0;
}

static void block_file_deinit(BlockFile *file) {
        file->fd = fd_close(file->fd);
        free(file->name);
        file->name = NULL;
}

/* The second half of opening a raw image, once its format is known. */
static int open_raw(BlockFile *file, const char *path, const BlockOpenOptions *options, Aio *aio,
                    BlockDev **ret, TextError *reterr) {
        int r;

        file->align_bytes = 1;
        file->sparse = options->sparse;
        file->dontcache = options->dontcache;
        if (options->direct) {
                r = make_direct(file, path, reterr);
                if (r < 0)
                        return r;
        } else if (is_direct(file->fd)) /* as whoever passed it opened it */
                file->align_bytes = probe_direct_align(file->fd);
        if (options->lock) {
                r = lock_image(file, reterr);
                if (r < 0)
                        return r;
        }
        r = raw_new(file, aio, ret);
        return r < 0 ? text_error_prefix(reterr, r, "%s", path) : 0;
}

static int open_file(BlockFile *file, const char *path, bool read_only, TextError *reterr) {
        int r;

        /* O_NONBLOCK: opening a pipe must not wait for its other end; it has no effect on disks. */
        file->fd = fd_path_open(path, (read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK, 0);
        if (file->fd < 0)
                return file->fd;
        file->read_only = read_only;
        r = name_file(file, path);
        return r < 0 ? r : find_size(file, reterr);
}

/**
 * block_open_part() - open a file that a composite disk names
 *
 * As block_open(), but for raw images only, sharing @aio.
 */
int block_open_part(const char *path, const BlockOpenOptions *options, Aio *aio, BlockDev **ret,
                    TextError *reterr) {
        _cleanup_(block_file_deinit) BlockFile file = {.fd = -EBADF};
        uint8_t head[BLOCK_SNIFF_BYTES];
        const char *format;
        size_t len = 0;
        int r;

        r = open_file(&file, path, options->read_only, reterr);
        if (r >= 0)
                r = read_head(file.fd, head, &len);
        if (r < 0)
                return text_error_prefix(reterr, r, "%s", file.name ?: path);
        format = composite_is(head, len) ? "composite" : block_format_refused(head, len);
        if (format)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "%s is a %s image; parts of a composite disk must be raw",
                                      path, format);
        return open_raw(&file, path, options, aio, ret, reterr);
}

static int open_composite(const BlockFile *file, const char *path, const BlockOpenOptions *options,
                          Aio *aio, BlockDev **ret, TextError *reterr) {
        _cleanup_(composite_spec_deinit) CompositeSpec spec = {0};
        _cleanup_(freep) uint8_t *data = NULL;
        int r;

        if (file->size_bytes < COMPOSITE_MAGIC_LEN || file->size_bytes > COMPOSITE_FILE_MAX)
                return text_error_set(reterr, -EINVAL,
                                      "%s: a composite disk's own file has at most %u bytes", path,
                                      COMPOSITE_FILE_MAX);
        data = malloc((size_t) file->size_bytes);
        if (!data)
                return -ENOMEM;
        r = fd_pread_all(file->fd, data, (size_t) file->size_bytes, 0);
        if (r >= 0)
                r = composite_decode(data, (size_t) file->size_bytes, &spec, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "%s", path);
        return composite_new(&spec, path, options, aio, ret, reterr);
}

/**
 * block_open() - open a disk image
 * @path:     a regular file or block device, or /proc/self/fd/N
 * @options:  what the guest may do, and how
 * @loop:     where requests end; borrowed, outlives the disk
 * @ret:      owned by the caller
 *
 * A composite disk's own file need not be writable. Blocks; call it before the loop runs.
 *
 * Return: 0; -EBUSY when the image is locked; -EOPNOTSUPP for a format that is not supported; other negative errno;
 * always with a sentence.
 */
int block_open(const char *path, const BlockOpenOptions *options, Loop *loop, BlockDev **ret,
               TextError *reterr) {
        _cleanup_(block_file_deinit) BlockFile file = {.fd = -EBADF};
        _cleanup_(aio_unrefp) Aio *aio = NULL;
        uint8_t head[BLOCK_SNIFF_BYTES];
        const char *format;
        size_t len = 0;
        int r, not_writable = 0;

        r = open_file(&file, path, options->read_only, reterr);
        if (!options->read_only && (r == -EACCES || r == -EROFS || r == -EPERM)) {
                not_writable = r;
                r = open_file(&file, path, true, reterr);
        }
        if (r >= 0)
                r = read_head(file.fd, head, &len);
        if (r < 0)
                return text_error_prefix(reterr, r, "%s", file.name ?: path);

        r = aio_new(options->engine, loop, &aio);
        if (r < 0)
                return text_error_set(reterr, r, "%s: cannot set up %s: %s", path,
                                      options->engine == AIO_ENGINE_URING ? "io_uring" : "threads",
                                      strerror(-r));
        if (composite_is(head, len))
                return open_composite(&file, path, options, aio, ret, reterr);
        if (not_writable < 0)
                return text_error_prefix(reterr, not_writable, "%s", path);
        format = block_format_refused(head, len);
        if (format)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "%s is no raw image but of the format %s, which is not "
                                      "supported: convert it, as with qemu-img convert -O raw",
                                      file.name, format);
        return open_raw(&file, path, options, aio, ret, reterr);
}
