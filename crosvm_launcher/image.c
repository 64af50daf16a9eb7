/* SPDX-License-Identifier: Apache-2.0 */
#include "crosvm_launcher/image.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/composite.h"

/* Formats that are told by their first bytes and would be damaged, or believed, if they were taken for raw ones. */
static const struct {
        const char *name;
        const char *magic;
        size_t len;
} formats[] = {
        {"a composite disk", COMPOSITE_MAGIC, COMPOSITE_MAGIC_LEN},
        {"a qcow2 image", "QFI\xfb", 4},
        {"an Android sparse image", "\x3a\xff\x26\xed", 4},
};

static int measure(int fd, uint64_t *ret_size, TextError *reterr) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISREG(st.st_mode)) {
                *ret_size = (uint64_t) st.st_size;
                return 0;
        }
        if (!S_ISBLK(st.st_mode))
                return text_error_set(reterr, -EINVAL, "neither a regular file nor a block device");
        return ioctl(fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
}

/**
 * image_check_raw() - whether @fd may be used as it is, byte for byte
 * @ret_size: bytes
 *
 * Formats with a header are refused: the VMM would follow the file names in a composite disk, and a guest can write
 * such a header into an image of its own.
 *
 * Return: 0; negative errno, with a sentence in @reterr where errno does not say it all.
 */
int image_check_raw(int fd, uint64_t *ret_size, TextError *reterr) {
        char start[16] = {0};
        uint64_t size = 0;
        ssize_t n;
        int r;

        r = measure(fd, &size, reterr);
        if (r < 0)
                return r;
        n = pread(fd, start, sizeof(start), 0);
        if (n < 0)
                return -errno;
        for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
                if ((size_t) n >= formats[i].len &&
                    memcmp(start, formats[i].magic, formats[i].len) == 0)
                        return text_error_set(reterr, -EINVAL,
                                              "%s, where only raw images are accepted",
                                              formats[i].name);
        *ret_size = size;
        return 0;
}
