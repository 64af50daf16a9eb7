/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/console.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
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

static void remember(Console *console, const char *bytes, size_t len) {
        size_t n = MIN(len, sizeof(console->last)), kept;

        kept = MIN(console->n_last, sizeof(console->last) - n);
        memmove(console->last, console->last + console->n_last - kept, kept);
        memcpy(console->last + kept, bytes + len - n, n);
        console->n_last = kept + n;
}

static int on_guest_output(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Console *console = userdata;
        ssize_t n = read(fd, console->pending, sizeof(console->pending));

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0) {
                console->from_guest_source = sd_event_source_disable_unref(source);
                if (console->events.ended)
                        console->events.ended(console->events.userdata);
                return 0;
        }
        console->n_pending = (size_t) n;
        remember(console, console->pending, (size_t) n);
        (void) write_pending(console);
        return 0;
}

/* No more keys come: the terminal is gone, of which SIGHUP tells whoever must know, or the file has ended. */
static void end_input(Console *console) {
        console->input_source = sd_event_source_disable_unref(console->input_source);
        console->room_source = sd_event_source_disable_unref(console->room_source);
        if (console->to_guest >= 0)
                (void) shutdown(console->to_guest, SHUT_WR); /* of a socket, as of no pipe */
}

/* A guest that reads nothing for 64 KiB of typed keys loses the rest, as a terminal's own queue would. */
static void pass_keys(Console *console) {
        char bytes[256];
        ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                end_input(console);
                return;
        }
        /* Without a guest that takes keys there still is the escape key. */
        if (console->to_guest >= 0 && write(console->to_guest, bytes, (size_t) n) < 0 &&
            errno == EPIPE)
                console->to_guest = fd_close(console->to_guest);
        if (console->terminal.fd >= 0 &&
            escape_key_feed(&console->escape, bytes, (size_t) n, clock_monotonic_usec()))
                console->events.escaped(console->events.userdata);
}

/* What is no terminal waits for the guest: nothing of a file is lost. */
static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Console *console = userdata;

        if (console->room_source && !can_write_now(console->to_guest)) {
                int r = sd_event_source_set_enabled(source, SD_EVENT_OFF);

                return r < 0 ? r
                             : sd_event_source_set_enabled(console->room_source, SD_EVENT_ONESHOT);
        }
        pass_keys(console);
        return 0;
}

static int on_room(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Console *console = userdata;

        if (console->input_source)
                return sd_event_source_set_enabled(console->input_source, SD_EVENT_ON);
        pass_keys(console); /* of a file, which needs no waiting for */
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

/* Input that is no terminal: a pipe is waited for, a file is read whenever the guest has room. */
static int attach_stream(Console *console, sd_event *event) {
        int r = sd_event_add_io(event, &console->room_source, console->to_guest, EPOLLOUT, on_room,
                                console);

        if (r >= 0)
                r = sd_event_add_io(event, &console->input_source, STDIN_FILENO, EPOLLIN, on_input,
                                    console);
        if (r == -EPERM)
                return 0;
        return r < 0 ? r : sd_event_source_set_enabled(console->room_source, SD_EVENT_OFF);
}

static int attach_input(Console *console, sd_event *event) {
        int r;

        if (isatty(STDIN_FILENO) == 0)
                return attach_stream(console, event);
        r = terminal_enter_raw(&console->terminal, STDIN_FILENO);
        if (r < 0)
                return r;
        return sd_event_add_io(event, &console->input_source, STDIN_FILENO, EPOLLIN, on_input,
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
        console->room_source = sd_event_source_disable_unref(console->room_source);
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

/* Where in @text that begins which follows what was shown last; 0 if that is not in it. */
static size_t find_unseen(const Console *console, const char *text, size_t len) {
        if (console->n_last == 0)
                return 0;
        for (size_t end = len; end >= console->n_last; end--)
                if (memcmp(text + end - console->n_last, console->last, console->n_last) == 0)
                        return end;
        return 0;
}

/* What the new socket has already, but for what was shown before. Blocks for a slow reader of our output. */
static int show_unseen(Console *console) {
        _cleanup_(strbuf_deinit) StrBuf kept = {0};
        size_t from;
        ssize_t n;

        while ((n = recv(console->from_guest, console->pending, sizeof(console->pending),
                         MSG_DONTWAIT)) > 0)
                strbuf_append_bytes(&kept, console->pending, (size_t) n);
        if (kept.failed)
                return -ENOMEM;
        if (kept.len == 0)
                return 0;
        assert(kept.data);
        from = find_unseen(console, kept.data, kept.len);
        if (from == kept.len)
                return 0;
        remember(console, kept.data + from, kept.len - from);
        console->mid_line = kept.data[kept.len - 1] != '\n';
        return fd_write_all(console->output, kept.data + from, kept.len - from);
}

/**
 * console_resume() - go on with another socket, after the end of the first one was told
 * @from_guest: has in it what was kept; consumed
 * @to_guest:   for keys, -EBADF if the console passes none; consumed
 *
 * Return: 0 or negative errno.
 */
int console_resume(Console *console, sd_event *event, int from_guest, int to_guest) {
        bool streams = console->terminal.fd < 0 && (console->input_source || console->room_source);
        int r;

        console->room_source = sd_event_source_disable_unref(console->room_source);
        console->output_source = sd_event_source_disable_unref(console->output_source);
        (void) fd_close(console->from_guest);
        (void) fd_close(console->to_guest);
        console->from_guest = from_guest;
        console->to_guest = to_guest;
        r = show_unseen(console);
        if (r >= 0)
                r = attach_output(console, event);
        if (r < 0 || !streams)
                return r < 0 ? r : 0;
        console->input_source = sd_event_source_disable_unref(console->input_source);
        r = attach_stream(console, event);
        return r < 0 ? r : 0;
}
