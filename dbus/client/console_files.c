/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/console.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "dbus/client/reasons.h"

/** console_init() - nothing open, terminal untouched */
void console_init(Console *console) {
        *console = (Console){
                .guest_out = -EBADF,
                .guest_in = -EBADF,
                .guest_log = -EBADF,
                .from_guest = -EBADF,
                .to_guest = -EBADF,
                .output = -EBADF,
                .terminal.fd = -EBADF,
        };
}

/** console_close_guest_ends() - close what was passed to the VM, so that its end is seen as end of file */
void console_close_guest_ends(Console *console) {
        console->guest_out = fd_close(console->guest_out);
        console->guest_in = fd_close(console->guest_in);
        console->guest_log = fd_close(console->guest_log);
}

/** console_deinit() - put the terminal back, close everything */
void console_deinit(Console *console) {
        terminal_leave_raw(&console->terminal);
        sd_event_source_disable_unref(console->from_guest_source);
        sd_event_source_disable_unref(console->output_source);
        sd_event_source_disable_unref(console->input_source);
        sd_event_source_disable_unref(console->room_source);
        sd_event_source_disable_unref(console->finish_source);
        console_close_guest_ends(console);
        (void) fd_close(console->from_guest);
        (void) fd_close(console->to_guest);
        console_init(console);
}

static int open_output_file(const char *option, const char *path, int *ret, TextError *reterr) {
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);

        if (fd < 0)
                return text_error_set(reterr, -errno, "--%s: cannot open \"%s\" for writing: %s",
                                      option, path, strerror(errno));
        *ret = fd;
        return 0;
}

/* Nobody passes a descriptor: the service logs the console, and shows it to vivctl console. */
#define CONSOLE_OF_SERVICE "service"

static int open_output(Console *console, const char *path, bool live, bool json,
                       TextError *reterr) {
        int ends[2], r;

        if (path && str_eq(path, CONSOLE_OF_SERVICE))
                return 0;
        if (path && !str_eq(path, "-"))
                return open_output_file("console", path, &console->guest_out, reterr);
        if (!live)
                return 0;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return text_error_set(reterr, -errno, "cannot make a pipe: %s", strerror(errno));
        console->from_guest = ends[0];
        console->guest_out = ends[1];
        /* A JSON record on standard output must not have a boot log before it. */
        console->output = json && !path ? STDERR_FILENO : STDOUT_FILENO;
        r = fd_set_nonblock(console->from_guest, true);
        return r < 0 ? text_error_set(reterr, r, "cannot set up a pipe: %s", strerror(-r)) : 0;
}

static int open_input(Console *console, const char *path, bool live, TextError *reterr) {
        bool keyboard = isatty(STDIN_FILENO) > 0;
        int ends[2], r;

        if (path && !str_eq(path, "-")) {
                console->guest_in = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
                if (console->guest_in < 0)
                        return text_error_set(reterr, -errno,
                                              "--console-in: cannot open \"%s\": %s", path,
                                              strerror(errno));
                return 0;
        }
        /* Without the option only a terminal on both sides is taken for somebody who wants to type. */
        if (!path && !(live && keyboard && console->output >= 0 && isatty(console->output) > 0))
                return 0;
        if (!keyboard) {
                console->guest_in = fd_dup_cloexec(STDIN_FILENO);
                return console->guest_in < 0 ? text_error_set(reterr, console->guest_in,
                                                              "--console-in: standard input: %s",
                                                              strerror(-console->guest_in))
                                             : 0;
        }
        if (pipe2(ends, O_CLOEXEC) < 0)
                return text_error_set(reterr, -errno, "cannot make a pipe: %s", strerror(errno));
        console->guest_in = ends[0];
        console->to_guest = ends[1];
        r = fd_set_nonblock(console->to_guest, true);
        return r < 0 ? text_error_set(reterr, r, "cannot set up a pipe: %s", strerror(-r)) : 0;
}

static bool is_standard(const char *path) {
        return path && str_eq(path, "-");
}

/**
 * console_open_files() - open what --console, --console-in and --log name
 * @live: vivctl stays until the VM ends, so "-" and pipes are possible
 * @json: standard output is for JSON
 *
 * Return: 0; EXIT_STATUS_USAGE or negative errno, both with @reterr set.
 */
int console_open_files(Console *console, const Args *args, bool live, bool json,
                       TextError *reterr) {
        const char *out = args_value(args, OPTION_CONSOLE);
        const char *in = args_value(args, OPTION_CONSOLE_IN);
        const char *log = args_value(args, OPTION_LOG);
        int r;

        if (is_standard(log) || (!live && (is_standard(out) || is_standard(in)))) {
                (void) text_error_set(reterr, -EINVAL,
                                      is_standard(log)
                                              ? "--log=-: expected the path of a file"
                                              : "--console=- and --console-in=- need vivctl to "
                                                "stay until the VM ends; give a file");
                return EXIT_STATUS_USAGE;
        }
        r = open_output(console, out, live, json, reterr);
        if (r >= 0)
                r = open_input(console, in, live, reterr);
        if (r >= 0 && log)
                r = open_output_file("log", log, &console->guest_log, reterr);
        return r;
}

static int append_fd(sd_bus_message *call, const char *name, int fd) {
        return fd < 0 ? 0 : sd_bus_message_append(call, "{sv}", name, "h", fd);
}

/** console_append_options() - add entries to the open "a{sv}" of CreateVm. Return: 0 or negative errno. */
int console_append_options(const Console *console, sd_bus_message *call) {
        int r = append_fd(call, "console", console->guest_out);

        if (r >= 0)
                r = append_fd(call, "console-in", console->guest_in);
        if (r >= 0)
                r = append_fd(call, "log", console->guest_log);
        return r < 0 ? r : 0;
}
