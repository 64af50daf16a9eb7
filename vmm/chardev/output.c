/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/chardev/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "vmm/chardev/char.h"

/*
 * A guest's console writes byte by byte. Passing each one on at once would cost a system call here and a wake-up of
 * the reader for every character, so bytes are gathered until a line ends, the buffer is full, or 5 ms have passed.
 *
 *   gathered ──▶ descriptor, or, once that is full: ──▶ backlog ──(the loop, EPOLLOUT)──▶ descriptor
 *
 * EPOLLONESHOT, because a pipe without a reader reports EPOLLERR for ever.
 */

#define OUTPUT_IDLE ((uint32_t) EPOLLONESHOT)
#define OUTPUT_WAITING ((uint32_t) (EPOLLOUT | EPOLLONESHOT))

static ssize_t write_now(const CharOutput *output, struct iovec *iov, size_t n) {
        return output->format == CHAR_BYTES
                       ? host_fd_writev(&output->host, iov, n)
                       : char_record_write(&output->host, output->format, iov, n);
}

/* Writes as much of @data as the host takes now. Return: bytes taken; the rest is for the backlog, or lost. */
static size_t output_write_some(CharOutput *output, const uint8_t *data, size_t len,
                                bool *ret_full) {
        size_t done = 0;

        *ret_full = false;
        while (done < len) {
                struct iovec iov = {.iov_base = (void *) (uintptr_t) (data + done),
                                    .iov_len = len - done};
                ssize_t n = write_now(output, &iov, 1);

                if (n <= 0) {
                        *ret_full = n == -EAGAIN && output->source;
                        return done;
                }
                done += (size_t) n;
        }
        return done;
}

/* Copies into the ring what there is room for. Return: bytes taken. */
static size_t backlog_put(CharOutput *output, const uint8_t *data, size_t len) {
        size_t room, at, first;

        if (!output->backlog) {
                output->backlog = malloc(CHAR_BACKLOG_MAX);
                if (!output->backlog)
                        return 0;
                output->backlog_start = 0;
        }
        room = CHAR_BACKLOG_MAX - output->backlog_len;
        len = MIN(len, room);
        at = (output->backlog_start + output->backlog_len) % CHAR_BACKLOG_MAX;
        first = MIN(len, CHAR_BACKLOG_MAX - at);
        memcpy(output->backlog + at, data, first);
        memcpy(output->backlog, data + first, len - first);
        output->backlog_len += len;
        return len;
}

static void backlog_clear(CharOutput *output) {
        free(output->backlog);
        output->backlog = NULL;
        output->backlog_len = 0;
}

/* Writes from the ring until it is empty or the host is full; an error loses what is in it. */
static void backlog_flush(CharOutput *output) {
        while (output->backlog_len > 0) {
                size_t first = MIN(output->backlog_len, CHAR_BACKLOG_MAX - output->backlog_start);
                struct iovec iov[] = {
                        {.iov_base = output->backlog + output->backlog_start, .iov_len = first},
                        {.iov_base = output->backlog, .iov_len = output->backlog_len - first},
                };
                ssize_t n = write_now(output, iov, ELEMENTSOF(iov));

                if (n == -EAGAIN)
                        return;
                if (n <= 0) {
                        output->dropped_bytes += output->backlog_len;
                        break;
                }
                output->backlog_start = (output->backlog_start + (size_t) n) % CHAR_BACKLOG_MAX;
                output->backlog_len -= (size_t) n;
        }
        backlog_clear(output);
}

/* How much of what was gathered goes now: a line stays until its end comes, or there is no more room for it. */
static size_t ready_bytes(const CharOutput *output) {
        const uint8_t *end = memrchr(output->gathered, '\n', output->n_gathered);

        if (output->format == CHAR_BYTES || (!end && output->n_gathered == CHAR_GATHER_SIZE))
                return output->n_gathered;
        return end ? (size_t) (end - output->gathered) + 1 : 0;
}

/* Passes on the first @len bytes that were gathered. Lock held. */
static void output_pass_on(CharOutput *output, size_t len) {
        size_t done = 0, kept = 0;
        bool full = output->backlog_len > 0;

        if (len == 0)
                return;
        if (!full)
                done = output_write_some(output, output->gathered, len, &full);
        if (full) {
                bool was_empty = output->backlog_len == 0;

                kept = backlog_put(output, output->gathered + done, len - done);
                if (was_empty && kept > 0)
                        (void) loop_set_events(output->source, OUTPUT_WAITING);
        }
        output->dropped_bytes += len - done - kept;
        output->n_gathered -= len;
        memmove(output->gathered, output->gathered + len, output->n_gathered);
}

static void output_flush(CharOutput *output) {
        output_pass_on(output, ready_bytes(output));
}

/* LoopFdFn: the host has room again, or its reader is gone. */
static void output_ready(void *userdata, int fd, uint32_t events) {
        CharOutput *output = userdata;

        pthread_mutex_lock(&output->lock);
        backlog_flush(output);
        if (output->backlog_len > 0)
                (void) loop_set_events(output->source, OUTPUT_WAITING);
        pthread_mutex_unlock(&output->lock);
}

/* LoopTimerFn: the line was not finished in time. */
static void output_gathered_long_enough(void *userdata) {
        CharOutput *output = userdata;

        pthread_mutex_lock(&output->lock);
        output->timer_armed = false;
        output_flush(output);
        pthread_mutex_unlock(&output->lock);
}

/**
 * char_output_init_consume() - write to @fd
 * @output: zero-initialised
 * @fd:     consumed on success and failure
 * @format: of lines: what has no end yet waits for it
 *
 * Return: 0 or negative errno; on failure @output needs no deinit.
 */
int char_output_init_consume(CharOutput *output, Loop *loop, int fd, CharFormat format) {
        int r;

        output->format = format;
        pthread_mutex_init(&output->lock, NULL);
        r = host_fd_init_consume(&output->host, fd, O_WRONLY);
        if (r < 0)
                goto fail;
        r = loop_add_fd(loop, output->host.fd, OUTPUT_IDLE, output_ready, output, &output->source);
        if (r < 0 && r != -EPERM) /* -EPERM: a regular file, always ready */
                goto fail;
        r = loop_add_timer(loop, output_gathered_long_enough, output, &output->timer);
        if (r < 0)
                goto fail;
        return 0;
fail:
        char_output_deinit(output);
        return r;
}

/** char_output_deinit() - release; what is still pending is lost, see char_output_drain() */
void char_output_deinit(CharOutput *output) {
        output->timer = loop_remove(output->timer);
        output->source = loop_remove(output->source);
        host_fd_deinit(&output->host);
        backlog_clear(output);
        pthread_mutex_destroy(&output->lock);
}

/** char_output_write() - take all of @data, or drop and count what there is no room for; any thread, never waits */
void char_output_write(CharOutput *output, const uint8_t *data, size_t len) {
        bool line_ends = memchr(data, '\n', len);

        pthread_mutex_lock(&output->lock);
        while (len > 0) {
                size_t n = MIN(len, CHAR_GATHER_SIZE - output->n_gathered);

                memcpy(output->gathered + output->n_gathered, data, n);
                output->n_gathered += n;
                data += n;
                len -= n;
                if (output->n_gathered == CHAR_GATHER_SIZE)
                        output_flush(output);
        }
        if (line_ends)
                output_flush(output);
        if (output->format == CHAR_BYTES && output->n_gathered > 0 && !output->timer_armed) {
                output->timer_armed = true;
                (void) loop_set_timer(output->timer, clock_monotonic_nsec() + CHAR_GATHER_NSEC);
        }
        pthread_mutex_unlock(&output->lock);
}

/** char_output_drain() - write out what is pending, waiting for a slow reader until @due_nsec (CLOCK_MONOTONIC) */
void char_output_drain(CharOutput *output, uint64_t due_nsec) {
        struct pollfd ready = {.fd = output->host.fd, .events = POLLOUT};

        pthread_mutex_lock(&output->lock);
        output_pass_on(output, output->n_gathered);
        while (output->backlog_len > 0) {
                uint64_t now = clock_monotonic_nsec();

                backlog_flush(output);
                if (output->backlog_len == 0 || now >= due_nsec)
                        break;
                if (poll(&ready, 1, (int) ((due_nsec - now) / 1000000 + 1)) < 0 && errno != EINTR)
                        break;
        }
        pthread_mutex_unlock(&output->lock);
}

/** char_output_dropped_bytes() - how much the host did not take so far; any thread */
uint64_t char_output_dropped_bytes(CharOutput *output) {
        uint64_t n;

        pthread_mutex_lock(&output->lock);
        n = output->dropped_bytes;
        pthread_mutex_unlock(&output->lock);
        return n;
}
