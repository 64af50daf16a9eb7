/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/console.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

static bool can_write_now(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};

        return poll(&p, 1, 0) > 0;
}

/* After a failure nothing more is shown; the owner decides what that means for the VM. */
static void output_failed(Console *console) {
        console->n_pending = 0;
        console->output = -EBADF;
        console->from_guest_source = sd_event_source_disable_unref(console->from_guest_source);
        console->events.output_closed(console->events.userdata);
}

/* Waits for room in the output; files and the like, which epoll refuses, always have it. */
static bool wait_for_output(Console *console) {
        return sd_event_source_set_enabled(console->from_guest_source, SD_EVENT_OFF) >= 0 &&
               sd_event_source_set_enabled(console->output_source, SD_EVENT_ONESHOT) >= 0;
}

/* Writes what is pending. Return: false while the output has no room. */
static bool write_pending(Console *console) {
        while (console->n_pending > 0) {
                ssize_t n;

                if (console->output_source && !can_write_now(console->output) &&
                    wait_for_output(console))
                        return false;
                n = write(console->output, console->pending, console->n_pending);
                if (n < 0 && (errno == EINTR || errno == EAGAIN))
                        continue;
                if (n <= 0) {
                        output_failed(console);
                        return true;
                }
                console->mid_line = console->pending[n - 1] != '\n';
                console->n_pending -= (size_t) n;
                memmove(console->pending, console->pending + n, console->n_pending);
        }
        return true;
}

static int on_output_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Console *console = userdata;

        int r = 0;

        if (!write_pending(console))
                return 0;
        if (console->from_guest_source)
                r = sd_event_source_set_enabled(console->from_guest_source, SD_EVENT_ON);
        if (r >= 0 && console->finish_source)
                r = sd_event_source_set_enabled(console->finish_source, SD_EVENT_ONESHOT);
        return r;
}

static int on_guest_output(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Console *console = userdata;
        ssize_t n = read(fd, console->pending, sizeof(console->pending));

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0) {
                console->from_guest_source = sd_event_source_disable_unref(source);
                return 0;
        }
        console->n_pending = (size_t) n;
        (void) write_pending(console);
        return 0;
}

static int on_key(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Console *console = userdata;
        char bytes[256];
        ssize_t n = read(fd, bytes, sizeof(bytes));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                /* The terminal is gone; SIGHUP says so to whoever must know. */
                console->input_source = sd_event_source_disable_unref(source);
                return 0;
        }
        /* A guest that reads nothing for 64 KiB of keys loses the rest, as a terminal's own queue would. */
        if (write(console->to_guest, bytes, (size_t) n) < 0 && errno == EPIPE)
                console->input_source = sd_event_source_disable_unref(source);
        if (escape_key_feed(&console->escape, bytes, (size_t) n, clock_monotonic_usec()))
                console->events.escaped(console->events.userdata);
        return 0;
}

static int attach_output(Console *console, sd_event *event) {
        int r = sd_event_add_io(event, &console->from_guest_source, console->from_guest, EPOLLIN,
                                on_guest_output, console);

        if (r < 0)
                return r;
        r = sd_event_add_io(event, &console->output_source, console->output, EPOLLOUT,
                            on_output_ready, console);
        if (r == -EPERM)
                return 0; /* a regular file */
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(console->output_source, SD_EVENT_OFF);
}

static int attach_input(Console *console, sd_event *event) {
        int r = terminal_enter_raw(&console->terminal, STDIN_FILENO);

        if (r < 0)
                return r;
        return sd_event_add_io(event, &console->input_source, STDIN_FILENO, EPOLLIN, on_key,
                               console);
}

/**
 * console_attach() - show output and take keys from now on, the terminal in raw mode if there are keys to take
 * @events: copied; all members set; called on the loop's thread
 *
 * Return: 0; negative errno with @reterr set.
 */
int console_attach(Console *console, sd_event *event, const ConsoleEvents *events,
                   TextError *reterr) {
        int r = 0;

        console->events = *events;
        if (console->from_guest >= 0)
                r = attach_output(console, event);
        if (r >= 0 && console->to_guest >= 0)
                r = attach_input(console, event);
        if (r < 0)
                return text_error_set(reterr, r, "cannot attach the console: %s", strerror(-r));
        return 0;
}

/* Runs when nothing else has anything to do: the pipe is empty then, or our output is stuck. */
static int on_idle(sd_event_source *source, void *userdata) {
        Console *console = userdata;

        if (console->n_pending > 0)
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);
        console->finish_source = sd_event_source_disable_unref(source);
        console->events.drained(console->events.userdata);
        return 0;
}

/**
 * console_finish() - the VM is dead: report once all that it wrote is shown
 *
 * Calls the drained event, at once or later. Return: 0 or negative errno.
 */
int console_finish(Console *console) {
        sd_event *event;
        int r;

        terminal_leave_raw(&console->terminal);
        console->input_source = sd_event_source_disable_unref(console->input_source);
        if (!console->from_guest_source || console->finishing) {
                if (!console->finishing)
                        console->events.drained(console->events.userdata);
                console->finishing = true;
                return 0;
        }
        console->finishing = true;
        event = sd_event_source_get_event(console->from_guest_source);
        r = sd_event_add_defer(event, &console->finish_source, on_idle, console);
        if (r < 0)
                return r;
        return sd_event_source_set_priority(console->finish_source, SD_EVENT_PRIORITY_IDLE);
}
