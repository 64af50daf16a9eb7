/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/chardev/char.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "base/unix_socket.h"
#include "vmm/chardev/input.h"
#include "vmm/chardev/output.h"

#define CHAR_FILE_MODE 0644

struct CharDev {
        CharOutput *output; /* owned; NULL: a sink */
        CharInput *input;   /* owned; NULL: nothing to read */
        bool timestamps;
        pthread_mutex_t lock; /* with @timestamps: covers what follows, and the order of output */
        bool inside_line;
};

/*
 * Appends, creating the file; a named pipe is opened without waiting for its reader, who may come later: then the
 * pipe keeps what fits.
 */
static int open_output(const char *path) {
        int fd = fd_path_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, CHAR_FILE_MODE);

        if (fd == -ENXIO)
                fd = fd_path_open(path, O_RDWR | O_NONBLOCK, 0);
        return fd;
}

static int char_add_output(CharDev *dev, Loop *loop, int fd, CharFormat format) {
        int r;

        dev->output = calloc(1, sizeof(*dev->output));
        if (!dev->output) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        r = char_output_init_consume(dev->output, loop, fd, format);
        if (r < 0) {
                free(dev->output);
                dev->output = NULL;
        }
        return r;
}

static int char_add_input(CharDev *dev, Loop *loop, int fd) {
        int r;

        dev->input = calloc(1, sizeof(*dev->input));
        if (!dev->input) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        r = char_input_init_consume(dev->input, loop, fd);
        if (r < 0) {
                free(dev->input);
                dev->input = NULL;
        }
        return r;
}

/* As crosvm, a datagram socket is waited for: whoever collects logs may start later. */
static int open_socket(const VmmSerial *config) {
        const bool datagrams = config->type == VMM_SERIAL_UNIX;
        int fd;

        if (fd_path_parse(config->path, &fd))
                return fd_path_open(config->path, O_RDWR, 0);
        return unix_socket_connect(config->path, datagrams ? SOCK_DGRAM : SOCK_STREAM,
                                   datagrams ? UNIX_SOCKET_WAIT_FOREVER : 0);
}

static int open_stream(CharDev *dev, const VmmSerial *config, Loop *loop) {
        _cleanup_(fd_closep) int fd = open_socket(config);
        int r;

        if (fd < 0 || !config->input_unix_stream)
                return fd < 0 ? fd : char_add_output(dev, loop, TAKE_FD(fd), CHAR_BYTES);
        r = fd_dup_cloexec(fd);
        if (r >= 0)
                r = char_add_input(dev, loop, r);
        return r < 0 ? r : char_add_output(dev, loop, TAKE_FD(fd), CHAR_BYTES);
}

static int char_open_output(CharDev *dev, const VmmSerial *config, Loop *loop, TextError *reterr) {
        const char *path = config->path;
        CharFormat format = CHAR_BYTES;
        int fd = -EBADF, r = 0;

        if (vmm_serial_has_path(config->type) && !path)
                return text_error_set(reterr, -EINVAL, "the type of the port needs a path");

        switch (config->type) {
        case VMM_SERIAL_SINK:
                return 0;
        case VMM_SERIAL_FILE:
                fd = open_output(path);
                break;
        case VMM_SERIAL_STDOUT:
                path = "standard output";
                fd = fd_dup_cloexec(STDOUT_FILENO);
                break;
        case VMM_SERIAL_SYSLOG:
                path = "the log";
                fd = fd_dup_cloexec(STDERR_FILENO);
                format = CHAR_LOG;
                break;
        case VMM_SERIAL_UNIX:
                fd = open_socket(config);
                format = CHAR_DATAGRAMS;
                break;
        case VMM_SERIAL_UNIX_STREAM:
                r = open_stream(dev, config, loop);
                return r < 0 ? text_error_prefix(reterr, r, "cannot connect to %s", path) : 0;
        }
        r = fd < 0 ? fd : char_add_output(dev, loop, fd, format);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot write serial output to %s", path);
        return 0;
}

static int char_open_input(CharDev *dev, const VmmSerial *config, Loop *loop, TextError *reterr) {
        const char *path = config->input;
        int fd, r;

        if (!config->std_in && !path)
                return 0;
        if (dev->input || (config->std_in && path))
                return text_error_set(reterr, -EINVAL, "the port has two inputs");
        if (config->std_in)
                path = "standard input";
        fd = config->std_in ? fd_dup_cloexec(STDIN_FILENO)
                            : fd_path_open(path, O_RDONLY | O_NONBLOCK, 0);
        r = fd < 0 ? fd : char_add_input(dev, loop, fd);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot read serial input from %s", path);
        return 0;
}

/**
 * char_new() - open the host side of a serial port or console
 * @config: borrowed for the call
 * @loop:   reads input and writes out backlog; borrowed, must outlive the device
 * @reterr: set on failure; names the file and the cause
 *
 * Kinds: a sink drops output; a file is appended to and created, /proc/self/fd/N is duplicated; standard output and
 * input are duplicated, and a terminal as input is in raw mode until char_free(); a socket is connected to, and a
 * datagram socket waited for; the log is standard error.
 *
 * Return: 0 or negative errno.
 */
int char_new(const VmmSerial *config, Loop *loop, CharDev **ret, TextError *reterr) {
        _cleanup_(char_freep) CharDev *dev = calloc(1, sizeof(*dev));
        int r;

        if (!dev)
                return -ENOMEM;
        pthread_mutex_init(&dev->lock, NULL);
        dev->timestamps = config->out_timestamp;
        if (dev->timestamps) /* the C library reads the host's time zone, while it may */
                tzset();
        r = char_open_output(dev, config, loop, reterr);
        if (r < 0)
                return r;
        r = char_open_input(dev, config, loop, reterr);
        if (r < 0)
                return r;
        *ret = TAKE(dev);
        return 0;
}

/** char_free() - close; the loop and every writer have ended; call char_drain() before. Return: NULL. */
CharDev *char_free(CharDev *dev) {
        if (!dev)
                return NULL;
        if (dev->input)
                char_input_deinit(dev->input);
        if (dev->output)
                char_output_deinit(dev->output);
        free(dev->input);
        free(dev->output);
        pthread_mutex_destroy(&dev->lock);
        free(dev);
        return NULL;
}

/* crosvm's: "[ 2026-01-31 23:59:59.123456789 ]: ", in UTC */
static void write_timestamp(CharDev *dev) {
        char text[64];
        struct timespec now;
        struct tm tm;
        size_t n;

        if (clock_gettime(CLOCK_REALTIME, &now) < 0 || !gmtime_r(&now.tv_sec, &tm))
                return;
        n = strftime(text, sizeof(text), "[ %F %T", &tm);
        n += (size_t) snprintf(text + n, sizeof(text) - n, ".%09ld ]: ", now.tv_nsec);
        char_output_write(dev->output, (const uint8_t *) text, n);
}

static void write_with_timestamps(CharDev *dev, const uint8_t *data, size_t len) {
        pthread_mutex_lock(&dev->lock);
        while (len > 0) {
                const uint8_t *end = memchr(data, '\n', len);
                const size_t n = end ? (size_t) (end - data) + 1 : len;

                if (!dev->inside_line)
                        write_timestamp(dev);
                dev->inside_line = !end;
                char_output_write(dev->output, data, n);
                data += n;
                len -= n;
        }
        pthread_mutex_unlock(&dev->lock);
}

/** char_write() - output of the guest; any thread, never waits; see CHAR_BACKLOG_MAX for what may be dropped */
void char_write(CharDev *dev, const uint8_t *data, size_t len) {
        if (!dev->output || len == 0)
                return;
        if (dev->timestamps)
                write_with_timestamps(dev, data, len);
        else
                char_output_write(dev->output, data, len);
}

/** char_set_handler() - who gets the host's input; before the loop runs */
void char_set_handler(CharDev *dev, const CharHandler *handler) {
        if (dev->input)
                char_input_set_handler(dev->input, handler);
}

/** char_input_ready() - the frontend can take input again after it left some; any thread */
void char_input_ready(CharDev *dev) {
        if (dev->input)
                char_input_resume(dev->input);
}

/** char_drain() - wait for a slow reader, but not beyond @due_nsec of CLOCK_MONOTONIC; writers have ended */
void char_drain(CharDev *dev, uint64_t due_nsec) {
        if (dev->output)
                char_output_drain(dev->output, due_nsec);
}

/** char_dropped_bytes() - bytes of output that the host side did not take; 0 for a sink; any thread */
uint64_t char_dropped_bytes(CharDev *dev) {
        return dev->output ? char_output_dropped_bytes(dev->output) : 0;
}
