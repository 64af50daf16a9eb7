/* SPDX-License-Identifier: Apache-2.0 */
#include "service/metrics/sample.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/proc_stat.h"
#include "base/str.h"

#define PROC_FILE_BYTES_MAX 8192u

static int read_proc(pid_t pid, const char *file, char **ret) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return fd_read_bounded(fd, PROC_FILE_BYTES_MAX, ret, NULL);
}

/**
 * sample_parse_stat() - guest time out of /proc/PID/stat
 * @software: the guest runs on the software CPU, which to the kernel is the VMM's own code in user mode. Devices are
 *            also that; they are a small part of it.
 *
 * Return: 0; -EBADMSG for text that is not of that form.
 */
int sample_parse_stat(const char *text, bool software, long ticks_per_sec,
                      usec_t *ret_guest_cpu_usec) {
        unsigned field = software ? PROC_STAT_USER_TIME : PROC_STAT_GUEST_TIME;
        uint64_t ticks, usec;

        if (proc_stat_field(text, field, &ticks) < 0 || !MUL_CHECKED(ticks, USEC_PER_SEC, &usec))
                return -EBADMSG;
        *ret_guest_cpu_usec = usec / (uint64_t) ticks_per_sec;
        return 0;
}

/* "Key:   123 kB" to bytes. */
static int status_bytes(const char *text, const char *key, uint64_t *ret) {
        const char *p = strstr(text, key);
        char number[24];
        uint64_t kib;
        size_t n;

        if (!p)
                return -EBADMSG;
        p += strlen(key);
        p += strspn(p, " \t");
        n = strspn(p, "0123456789");
        if (n == 0 || n >= sizeof(number) || strncmp(p + n, " kB", 3) != 0)
                return -EBADMSG;
        memcpy(number, p, n);
        number[n] = '\0';
        if (parse_u64(number, &kib) < 0 || !MUL_CHECKED(kib, (uint64_t) 1024, ret))
                return -EBADMSG;
        return 0;
}

/**
 * sample_parse_status() - resident memory out of /proc/PID/status
 * @ret_peak: the most that guest and VMM together had so far
 *
 * Guest memory is a memfd, and so is what RssShmem counts. On the software processor it also counts translated code, once
 * for the mapping that is written and once for that which is executed; nothing that a daemon without rights over the VMM may
 * read tells the two apart.
 *
 * Return: 0; -EBADMSG when a field is missing, as it is for a zombie.
 */
int sample_parse_status(const char *text, uint64_t *ret_rss_guest, uint64_t *ret_rss_vmm,
                        uint64_t *ret_peak) {
        uint64_t all, shmem, peak;
        int r;

        r = status_bytes(text, "\nVmRSS:", &all);
        if (r < 0)
                return r;
        r = status_bytes(text, "\nRssShmem:", &shmem);
        if (r < 0)
                return r;
        r = status_bytes(text, "\nVmHWM:", &peak);
        if (r < 0)
                return r;
        /* The kernel does not read them at one instant. */
        *ret_rss_guest = MIN(shmem, all);
        *ret_rss_vmm = all - MIN(shmem, all);
        *ret_peak = MAX(peak, all);
        return 0;
}

/**
 * sample_guest_cpu() - update the guest's CPU time; works for a zombie too
 *
 * Return: 0; negative errno with @usage untouched.
 */
int sample_guest_cpu(pid_t pid, bool software, Usage *usage) {
        _cleanup_(freep) char *text = NULL;
        usec_t usec;
        int r;

        r = read_proc(pid, "stat", &text);
        if (r < 0)
                return r;
        assert(text);
        r = sample_parse_stat(text, software, sysconf(_SC_CLK_TCK), &usec);
        if (r < 0)
                return r;
        usage->guest_cpu_usec = MAX(usage->guest_cpu_usec, usec);
        return 0;
}

/**
 * sample_usage() - update CPU time, resident memory and its peaks for a living process
 *
 * Return: 0; negative errno with what could not be read untouched.
 */
int sample_usage(pid_t pid, bool software, Usage *usage) {
        _cleanup_(freep) char *text = NULL;
        uint64_t peak;
        int r;

        r = sample_guest_cpu(pid, software, usage);
        if (r < 0)
                return r;
        r = read_proc(pid, "status", &text);
        if (r < 0)
                return r;
        assert(text);
        r = sample_parse_status(text, &usage->rss_guest_bytes, &usage->rss_vmm_bytes, &peak);
        if (r < 0)
                return r;
        usage->rss_peak_bytes = MAX(usage->rss_peak_bytes, peak);
        usage->rss_guest_peak_bytes = MAX(usage->rss_guest_peak_bytes, usage->rss_guest_bytes);
        usage->rss_vmm_peak_bytes = MAX(usage->rss_vmm_peak_bytes, usage->rss_vmm_bytes);
        return 0;
}
