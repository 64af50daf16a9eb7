/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/terminal.h"

#include <errno.h>

/**
 * terminal_enter_raw() - give every key to the guest, Ctrl-C too
 * @fd: a terminal; must stay open until terminal_leave_raw()
 *
 * Output is still processed, so that messages of vivctl end their lines properly.
 * Return: 0 or negative errno.
 */
int terminal_enter_raw(Terminal *terminal, int fd) {
        struct termios raw;

        terminal->fd = -EBADF;
        if (tcgetattr(fd, &terminal->saved) < 0)
                return -errno;
        raw = terminal->saved;
        cfmakeraw(&raw);
        raw.c_oflag |= terminal->saved.c_oflag & (OPOST | ONLCR);
        if (tcsetattr(fd, TCSADRAIN, &raw) < 0)
                return -errno;
        terminal->fd = fd;
        return 0;
}

/** terminal_leave_raw() - put the terminal back as it was; may be called at any time, also twice */
void terminal_leave_raw(Terminal *terminal) {
        if (terminal->fd < 0)
                return;
        (void) tcsetattr(terminal->fd, TCSADRAIN, &terminal->saved);
        terminal->fd = -EBADF;
}

/**
 * escape_key_feed() - look for the escape key among typed bytes
 *
 * The bytes go to the guest in any case: a single Ctrl-] is the guest's.
 * Return: true when the key was pressed often and fast enough.
 */
bool escape_key_feed(EscapeKey *key, const char *bytes, size_t len, usec_t now_usec) {
        for (size_t i = 0; i < len; i++) {
                if (bytes[i] != ESCAPE_KEY) {
                        key->presses = 0;
                        continue;
                }
                if (key->presses == 0 || now_usec - key->first_usec > ESCAPE_WINDOW_USEC)
                        *key = (EscapeKey){.first_usec = now_usec};
                if (++key->presses == ESCAPE_PRESSES)
                        return true;
        }
        return false;
}
