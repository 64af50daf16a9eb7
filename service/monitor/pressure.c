/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/*
 * The kernel is told what pressure is, a trigger, and says when there is some: a descriptor with EPOLLPRI, at most once in
 * the window of the trigger. Such a window takes CAP_SYS_RESOURCE; since Linux 6.5 one of whole 2 s is anybody's.
 *
 * In the place of the kernel's file there may be a FIFO, so that tests need no host in distress: each text written to it is
 * an event with that reading, but for one in which nobody waits, which is what there is to be read from then on.
 */

#define TRIGGER "some 50000 1000000"
#define TRIGGER_OF_ANYBODY "some 100000 2000000"
#define TEXT_MAX 511u

struct Pressure {
        int fd; /* owned */
        bool fifo;
        PressureReading last; /* of a FIFO */
        PressureFn fn;
        void *userdata;
        sd_event_source *source; /* owned */
};

/* The number behind @key, as "12.34", in hundredths. */
static int read_average(const char *text, const char *key, uint32_t *ret) {
        const char *p = strstr(text, key);
        uint32_t value = 0;
        size_t n;

        if (!p)
                return -EBADMSG;
        p += strlen(key);
        n = strspn(p, "0123456789");
        if (n == 0 || n > 3 || p[n] != '.' || strspn(p + n + 1, "0123456789") != 2)
                return -EBADMSG;
        for (size_t i = 0; i < n + 3; i++)
                if (i != n)
                        value = value * 10 + (uint32_t) (p[i] - '0');
        *ret = value;
        return 0;
}

/** pressure_parse() - averages out of the text of a pressure file. Return: 0; -EBADMSG for text that is not of that form. */
int pressure_parse(const char *text, PressureReading *ret) {
        PressureReading reading;

        if (read_average(text, "some avg10=", &reading.some) < 0 ||
            read_average(text, "full avg10=", &reading.full) < 0)
                return -EBADMSG;
        *ret = reading;
        return 0;
}

static int read_text(const Pressure *pressure, PressureReading *ret) {
        char text[TEXT_MAX + 1];
        ssize_t n;

        n = pressure->fifo ? read(pressure->fd, text, TEXT_MAX)
                           : pread(pressure->fd, text, TEXT_MAX, 0);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        return pressure_parse(text, ret);
}

/** pressure_read() - how it is now. Return: 0 or negative errno. */
int pressure_read(const Pressure *pressure, PressureReading *ret) {
        if (!pressure->fifo)
                return read_text(pressure, ret);
        *ret = pressure->last;
        return 0;
}

static int on_event(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Pressure *pressure = userdata;
        PressureReading reading = {0};
        int r;

        if (revents & (EPOLLERR | EPOLLHUP)) {
                log_warning("the kernel does not tell of the host's memory pressure any more");
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);
        }
        r = read_text(pressure, &reading);
        if (r < 0) {
                log_warning("read the host's memory pressure: %s, ignoring", strerror(-r));
                return 0;
        }
        pressure->last = reading;
        if (!pressure->fifo || reading.some > 0)
                pressure->fn(pressure->userdata, &reading);
        return 0;
}

static int set_trigger(int fd) {
        static const char *const triggers[] = {TRIGGER, TRIGGER_OF_ANYBODY};

        for (size_t i = 0; i < ELEMENTSOF(triggers); i++) {
                /* The kernel wants the terminator. */
                if (write(fd, triggers[i], strlen(triggers[i]) + 1) >= 0)
                        return 0;
                if (errno != EINVAL && errno != EPERM)
                        break;
        }
        return -errno;
}

/**
 * pressure_new() - hear of pressure from now on
 * @path: PRESSURE_PATH, a cgroup's memory.pressure, or a FIFO in their place
 *
 * Return: 0; -ENOENT or -EOPNOTSUPP where the kernel does not account for it; -EPERM or -EACCES without the right to be told;
 * other negative errno.
 */
int pressure_new(sd_event *event, const char *path, PressureFn fn, void *userdata, Pressure **ret) {
        _cleanup_(pressure_freep) Pressure *pressure = malloc(sizeof(*pressure));
        struct stat st;
        int r;

        if (!pressure)
                return -ENOMEM;
        *pressure = (Pressure){.fn = fn, .userdata = userdata};
        pressure->fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (pressure->fd < 0 || fstat(pressure->fd, &st) < 0)
                return -errno;
        pressure->fifo = S_ISFIFO(st.st_mode);
        r = pressure->fifo ? 0 : set_trigger(pressure->fd);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &pressure->source, pressure->fd,
                            pressure->fifo ? EPOLLIN : EPOLLPRI, on_event, pressure);
        if (r < 0)
                return r;
        *ret = TAKE(pressure);
        return 0;
}

/** pressure_free() - hear of nothing any more. Return: NULL. */
Pressure *pressure_free(Pressure *pressure) {
        if (!pressure)
                return NULL;
        (void) sd_event_source_disable_unref(pressure->source);
        (void) fd_close(pressure->fd);
        free(pressure);
        return NULL;
}
