/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/event/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#define LOOP_BATCH 32

struct LoopSource {
        Loop *loop;
        LoopSource *next, *previous;
        int fd; /* borrowed for descriptors; owned timerfd for timers */
        bool is_timer;
        LoopFdFn fd_fn;       /* NULL once removed */
        LoopTimerFn timer_fn; /* NULL once removed */
        void *userdata;       /* borrowed */
};

struct Loop {
        int epoll_fd;
        int exit_fd; /* wakes the loop to look at @exit_requested */
        atomic_bool exit_requested;
        LoopSource *sources; /* owned */
        LoopSource *removed; /* owned; freed when the batch that may name them is over */
};

/**
 * loop_new() - an event loop without sources
 * @ret: set on success only; release with loop_free()
 *
 * Return: 0 or negative errno.
 */
int loop_new(Loop **ret) {
        _cleanup_(loop_freep) Loop *loop = malloc(sizeof(*loop));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

        if (!loop)
                return -ENOMEM;
        *loop = (Loop){.epoll_fd = -EBADF, .exit_fd = -EBADF};
        loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (loop->epoll_fd < 0)
                return -errno;
        loop->exit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (loop->exit_fd < 0)
                return -errno;
        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->exit_fd, &event) < 0)
                return -errno;
        *ret = TAKE(loop);
        return 0;
}

static void loop_free_removed(Loop *loop) {
        while (loop->removed) {
                LoopSource *source = loop->removed;

                loop->removed = source->next;
                free(source);
        }
}

/** loop_free() - release the loop and every source still on it; not while it runs. Return: NULL. */
Loop *loop_free(Loop *loop) {
        if (!loop)
                return NULL;
        while (loop->sources)
                (void) loop_remove(loop->sources);
        loop_free_removed(loop);
        (void) fd_close(loop->exit_fd);
        (void) fd_close(loop->epoll_fd);
        free(loop);
        return NULL;
}

static int loop_add(Loop *loop, const LoopSource *template, uint32_t events, LoopSource **ret) {
        struct epoll_event event = {.events = events};
        LoopSource *source = malloc(sizeof(*source));

        if (!source)
                return -ENOMEM;
        *source = *template;
        source->loop = loop;
        source->next = loop->sources;
        event.data.ptr = source;
        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0) {
                int r = -errno;

                free(source);
                return r;
        }
        if (loop->sources)
                loop->sources->previous = source;
        loop->sources = source;
        if (ret)
                *ret = source;
        return 0;
}

/**
 * loop_add_fd() - call @fn when @fd is ready
 * @fd:     borrowed; must stay open until the source is removed
 * @events: EPOLL* bits; 0 still reports EPOLLERR and EPOLLHUP
 * @ret:    optional; borrowed from the loop, valid until loop_remove()
 *
 * Return: 0; -EPERM for regular files, which are always ready and cannot be waited for; other negative errno.
 */
int loop_add_fd(Loop *loop, int fd, uint32_t events, LoopFdFn fn, void *userdata,
                LoopSource **ret) {
        LoopSource source = {.fd = fd, .fd_fn = fn, .userdata = userdata};

        return loop_add(loop, &source, events, ret);
}

/** loop_set_events() - wait for other events on a descriptor; any thread. Return: 0 or negative errno. */
int loop_set_events(LoopSource *source, uint32_t events) {
        struct epoll_event event = {.events = events, .data.ptr = source};

        return epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno
                                                                                        : 0;
}

/**
 * loop_add_timer() - a timer, not armed
 * @ret: optional; borrowed from the loop, valid until loop_remove()
 *
 * Return: 0 or negative errno.
 */
int loop_add_timer(Loop *loop, LoopTimerFn fn, void *userdata, LoopSource **ret) {
        LoopSource source = {.is_timer = true, .timer_fn = fn, .userdata = userdata};
        int r;

        source.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (source.fd < 0)
                return -errno;
        r = loop_add(loop, &source, EPOLLIN, ret);
        if (r < 0)
                (void) fd_close(source.fd);
        return r;
}

/**
 * loop_set_timer() - arm for one shot, or disarm
 * @due_nsec: CLOCK_MONOTONIC; times that have passed fire at once; 0 disarms
 *
 * Any thread: devices arm timers from vCPU threads. A shot that is already being dispatched may still arrive after
 * the timer was moved, so callbacks look at their own state.
 *
 * Return: 0 or negative errno.
 */
int loop_set_timer(LoopSource *source, uint64_t due_nsec) {
        struct itimerspec spec = {
                .it_value =
                        {
                                .tv_sec = (time_t) (due_nsec / NSEC_PER_SEC),
                                .tv_nsec = (long) (due_nsec % NSEC_PER_SEC),
                        },
        };

        return timerfd_settime(source->fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0 ? -errno : 0;
}

/**
 * loop_remove() - take @source off its loop; its callback does not run any more
 *
 * On the loop's thread, also from inside a callback. A descriptor stays open, a timer is released.
 *
 * Return: NULL, so that `x->source = loop_remove(x->source)` leaves the field unset.
 */
LoopSource *loop_remove(LoopSource *source) {
        Loop *loop;

        if (!source)
                return NULL;
        loop = source->loop;
        (void) epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
        if (source->is_timer)
                source->fd = fd_close(source->fd);
        if (source->previous)
                source->previous->next = source->next;
        else
                loop->sources = source->next;
        if (source->next)
                source->next->previous = source->previous;

        /* The batch being dispatched may still name it. */
        source->fd_fn = NULL;
        source->timer_fn = NULL;
        source->next = loop->removed;
        loop->removed = source;
        return NULL;
}

static void loop_dispatch(LoopSource *source, uint32_t events) {
        uint64_t count;

        if (source->fd_fn) {
                source->fd_fn(source->userdata, source->fd, events);
                return;
        }
        if (!source->timer_fn)
                return;
        /* Moved or disarmed by another thread since epoll saw it: nothing to read, nothing to do. */
        if (read(source->fd, &count, sizeof(count)) != sizeof(count))
                return;
        source->timer_fn(source->userdata);
}

/**
 * loop_run() - dispatch events until loop_exit()
 *
 * The exit request is consumed: the loop may be run again, which is how a machine drains its devices after its vCPUs
 * have stopped.
 *
 * Return: 0 after loop_exit(); negative errno when waiting failed.
 */
int loop_run(Loop *loop) {
        struct epoll_event events[LOOP_BATCH];
        uint64_t count;

        for (;;) {
                int n = epoll_wait(loop->epoll_fd, events, LOOP_BATCH, -1);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                /* All of the batch, even if it ends the run: an EPOLLONESHOT event is not reported again. */
                for (int i = 0; i < n; i++)
                        if (events[i].data.ptr)
                                loop_dispatch(events[i].data.ptr, events[i].events);
                        else
                                (void) !read(loop->exit_fd, &count, sizeof(count));
                loop_free_removed(loop);
                if (atomic_exchange(&loop->exit_requested, false))
                        return 0;
        }
}

/** loop_exit() - make loop_run() return after the callbacks at hand; any thread; safe in signal handlers */
void loop_exit(Loop *loop) {
        uint64_t one = 1;
        int saved = errno;

        atomic_store(&loop->exit_requested, true);
        /* Fails only when the counter is full, and then the loop wakes anyway. */
        (void) !write(loop->exit_fd, &one, sizeof(one));
        errno = saved;
}
