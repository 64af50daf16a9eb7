/* SPDX-License-Identifier: Apache-2.0 */
#include "service/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"

/* Lines KEY=VALUE; empty ones and those that begin with # or ; say nothing. */

static uint64_t host_memory_bytes(void) {
        long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

        return pages > 0 && size > 0 ? (uint64_t) pages * (uint64_t) size : 0;
}

static uint64_t host_cpus(void) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);

        return n > 0 ? (uint64_t) n : 1;
}

/** settings_init() - the defaults for this host; release with settings_deinit(). Return: 0 or -ENOMEM. */
int settings_init(Settings *settings) {
        *settings = (Settings){.group = strdup("vivarium"),
                               .quota = quota_default(host_memory_bytes(), host_cpus())};
        return settings->group ? 0 : -ENOMEM;
}

/** settings_deinit() - release what it owns */
void settings_deinit(Settings *settings) {
        free(settings->group);
        *settings = (Settings){0};
}

/* A number with K, M, G or T for powers of 1024. */
static int parse_size(const char *text, uint64_t *ret) {
        static const char suffixes[] = "KMGT";
        size_t len = strlen(text);
        const char *suffix = len > 0 ? strchr(suffixes, text[len - 1]) : NULL;
        char digits[24];
        uint64_t number;
        int r;

        if (len == 0 || len >= sizeof(digits))
                return -EINVAL;
        memcpy(digits, text, len + 1);
        if (suffix)
                digits[len - 1] = '\0';
        r = parse_u64(digits, &number);
        if (r < 0)
                return r;
        return __builtin_mul_overflow(
                       number, suffix ? UINT64_C(1) << (10 * (suffix - suffixes + 1)) : 1, ret)
                       ? -ERANGE
                       : 0;
}

static int parse_limit(const char *text, uint64_t whole, uint64_t *ret) {
        size_t len = strlen(text);
        char digits[8];
        uint64_t percent;

        if (str_eq(text, "infinity")) {
                *ret = QUOTA_UNLIMITED;
                return 0;
        }
        if (whole == 0 || len == 0 || text[len - 1] != '%')
                return parse_size(text, ret);
        if (len >= sizeof(digits))
                return -EINVAL;
        memcpy(digits, text, len - 1);
        digits[len - 1] = '\0';
        if (parse_u64(digits, &percent) < 0 || percent > 100)
                return -EINVAL;
        *ret = whole / 100 * percent;
        return 0;
}

static const struct {
        const char *key;
        size_t offset; /* in Quota */
        bool is_memory;
} limits[] = {
        {"VmsPerUser", offsetof(Quota, vms), false},
        {"StartingPerUser", offsetof(Quota, starting), false},
        {"VcpusPerUser", offsetof(Quota, vcpus), false},
        {"MemoryPerUser", offsetof(Quota, memory_bytes), true},
        {"FilesPerUser", offsetof(Quota, files), false},
        {"RecordsPerUser", offsetof(Quota, records), false},
};

static int set(Settings *settings, const char *key, const char *value, uint64_t memory_bytes,
               TextError *reterr) {
        if (str_eq(key, "Group")) {
                char *group = strdup(value);

                if (!group)
                        return -ENOMEM;
                free(settings->group);
                settings->group = group;
                return 0;
        }
        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                uint64_t *limit = (uint64_t *) ((char *) &settings->quota + limits[i].offset);

                if (!str_eq(limits[i].key, key))
                        continue;
                if (parse_limit(value, limits[i].is_memory ? memory_bytes : 0, limit) == 0)
                        return 0;
                return text_error_set(
                        reterr, -EINVAL, "%s=%s: expected a number%s or \"infinity\"", key, value,
                        limits[i].is_memory ? ", one with K, M, G or T, a percentage" : "");
        }
        return text_error_set(reterr, -EINVAL, "\"%s\" is not known", key);
}

static char *trim(char *text) {
        char *end = text + strlen(text);

        while (end > text && strchr(" \t\r", end[-1]))
                *--end = '\0';
        return text + strspn(text, " \t");
}

static int parse_line(char *line, uint64_t memory_bytes, Settings *settings, TextError *reterr) {
        char *key = trim(line), *value = strchr(key, '=');

        if (*key == '\0' || *key == '#' || *key == ';')
                return 0;
        if (!value)
                return text_error_set(reterr, -EINVAL, "\"%s\": expected KEY=VALUE", key);
        *value++ = '\0';
        return set(settings, trim(key), trim(value), memory_bytes, reterr);
}

/**
 * settings_parse() - the text of a file, over what is set
 * @memory_bytes: that percentages are of
 *
 * Return: 0; -EINVAL with line and cause in @reterr; -ENOMEM.
 */
int settings_parse(const char *text, uint64_t memory_bytes, Settings *settings, TextError *reterr) {
        _cleanup_(freep) char *copy = strdup(text);
        unsigned number = 0;
        char *rest = copy, *line;

        if (!copy)
                return -ENOMEM;
        while ((line = strsep(&rest, "\n"))) {
                int r = parse_line(line, memory_bytes, settings, reterr);

                number++;
                if (r < 0)
                        return text_error_prefix(reterr, r, "line %u", number);
        }
        return 0;
}

/**
 * settings_load() - settings_parse() the file @path; one that is not there sets nothing
 *
 * Return: 0; negative errno with @reterr set.
 */
int settings_load(const char *path, Settings *settings, TextError *reterr) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_(freep) char *text = NULL;
        int r;

        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return 0;
        if (fd < 0)
                return text_error_set(reterr, -errno, "%s: %m", path);
        r = fd_read_bounded(fd, SETTINGS_BYTES_MAX, &text, NULL);
        if (r < 0)
                return text_error_set(reterr, r, "%s: %s", path, strerror(-r));
        r = settings_parse(text, host_memory_bytes(), settings, reterr);
        return r < 0 ? text_error_prefix(reterr, r, "%s", path) : 0;
}
