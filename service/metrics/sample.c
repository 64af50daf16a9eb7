/* SPDX-License-Identifier: Apache-2.0 */
#include "service/metrics/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/proc_stat.h"
#include "base/str.h"

#define PROC_FILE_BYTES_MAX 8192u

typedef struct ProcText {
        char bytes[PROC_FILE_BYTES_MAX + 1];
} ProcText;

/* The kernel makes such a text as a whole, so one call reads it as a whole. */
static int read_proc(pid_t pid, const char *file, ProcText *text) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[64];
        ssize_t n;

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, text->bytes, sizeof(text->bytes));
        if (n < 0)
                return -errno;
        if ((size_t) n == sizeof(text->bytes))
                return -EFBIG;
        text->bytes[n] = '\0';
        return 0;
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
 * sample_parse_mark() - by what of /proc/PID/stat a change of memory is seen
 *
 * Return: 0; -EBADMSG for text that is not of that form.
 */
int sample_parse_mark(const char *text, SampleMark *ret) {
        uint64_t minor, major;
        SampleMark mark = {0};

        if (proc_stat_field(text, PROC_STAT_MINOR_FAULTS, &minor) < 0 ||
            proc_stat_field(text, PROC_STAT_MAJOR_FAULTS, &major) < 0 ||
            proc_stat_field(text, PROC_STAT_RSS, &mark.resident_pages) < 0)
                return -EBADMSG;
        mark.faults = minor + major;
        *ret = mark;
        return 0;
}

static int take_guest_cpu(const char *text, bool software, Usage *usage) {
        usec_t usec;
        int r = sample_parse_stat(text, software, sysconf(_SC_CLK_TCK), &usec);

        if (r == 0)
                usage->guest_cpu_usec = MAX(usage->guest_cpu_usec, usec);
        return r;
}

/**
 * sample_guest_cpu() - update the guest's CPU time; works for a zombie too
 *
 * Return: 0; negative errno with @usage untouched.
 */
int sample_guest_cpu(pid_t pid, bool software, Usage *usage) {
        ProcText text;
        int r = read_proc(pid, "stat", &text);

        return r < 0 ? r : take_guest_cpu(text.bytes, software, usage);
}

static int take_memory(pid_t pid, ProcText *text, Usage *usage) {
        uint64_t peak;
        int r;

        r = read_proc(pid, "status", text);
        if (r < 0)
                return r;
        r = sample_parse_status(text->bytes, &usage->rss_guest_bytes, &usage->rss_vmm_bytes, &peak);
        if (r < 0)
                return r;
        usage->rss_peak_bytes = MAX(usage->rss_peak_bytes, peak);
        usage->rss_guest_peak_bytes = MAX(usage->rss_guest_peak_bytes, usage->rss_guest_bytes);
        usage->rss_vmm_peak_bytes = MAX(usage->rss_vmm_peak_bytes, usage->rss_vmm_bytes);
        return 0;
}

/**
 * sample_usage() - update CPU time, resident memory and its peaks for a living process
 *
 * /proc/PID/status takes the kernel twice as long as all the rest, and most VMs rest most of the time. A process comes
 * to no page without a fault, and what it loses is missing from the sum, so it is read when one of these has changed.
 *
 * Return: 0; negative errno with what could not be read untouched.
 */
int sample_usage(pid_t pid, bool software, Usage *usage) {
        SampleMark mark = {0};
        ProcText text;
        int r;

        r = read_proc(pid, "stat", &text);
        if (r == 0)
                r = take_guest_cpu(text.bytes, software, usage);
        if (r == 0)
                r = sample_parse_mark(text.bytes, &mark);
        if (r < 0)
                return r;
        if (mark.faults == usage->mark.faults && mark.resident_pages == usage->mark.resident_pages)
                return 0;
        r = take_memory(pid, &text, usage);
        if (r == 0)
                usage->mark = mark;
        return r;
}
