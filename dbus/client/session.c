/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/session.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"

/**
 * session_watch_signals() - have every signal that asks to end come through the loop, so that the terminal is put back
 *
 * Return: 0 or negative errno.
 */
int session_watch_signals(sd_event *event, sd_event_signal_handler_t handler, void *userdata) {
        static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
        sigset_t set;

        /* Writing to a closed pipe is an error of write(), not the end of vivctl. */
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigemptyset(&set) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                if (sigaddset(&set, signals[i]) < 0)
                        return -errno;
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                int r = sd_event_add_signal(event, NULL, signals[i], handler, userdata);

                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * session_watch_reader() - have the loop tell when nobody reads standard output any more
 *
 * A guest may be silent for days, and only the next write would tell: vivctl events | head should not wait for it. Files
 * have no reader. Return: 0 or negative errno.
 */
int session_watch_reader(sd_event *event, sd_event_io_handler_t handler, void *userdata) {
        /* A number of its own: the loop may wait for room in standard output, too. */
        _cleanup_(fd_closep) int fd = fd_dup_cloexec(STDOUT_FILENO);
        sd_event_source *source;
        int r;

        if (fd < 0)
                return fd == -EBADF ? 0 : fd;
        r = sd_event_add_io(event, &source, fd, /* events= */ 0, handler, userdata);
        if (r == -EPERM)
                return 0; /* what epoll refuses is a file */
        if (r < 0)
                return r;
        r = sd_event_source_set_floating(source, true);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(source, true);
        if (r >= 0)
                fd = -EBADF;
        (void) sd_event_source_unref(source);
        return r < 0 ? r : 0;
}

/** session_say() - a line on standard error; the terminal's own output processing is on even in raw mode */
void session_say(Console *console, const char *format, ...) {
        _cleanup_(strbuf_deinit) StrBuf line = {0};
        _cleanup_(freep) char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return;
        }
        /* Do not continue a line of the guest's where both are seen in one place. */
        if (console->mid_line && (console->output == STDERR_FILENO || isatty(STDERR_FILENO) > 0)) {
                strbuf_append(&line, "\n");
                console->mid_line = false;
        }
        strbuf_printf(&line, "%s\n", text);
        if (!line.failed)
                (void) fd_write_all(STDERR_FILENO, line.data, line.len);
}
