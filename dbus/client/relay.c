/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/relay.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* Return: more than 0 while there may be more; 0 at the end; negative errno. */
static ssize_t relay(int from, int to) {
        char buffer[8192];
        ssize_t n = read(from, buffer, sizeof(buffer));
        int r;

        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 1 : -errno;
        r = n > 0 ? fd_write_all(to, buffer, (size_t) n) : 0;
        return r < 0 ? r : n;
}

/**
 * relay_standard_streams() - pass bytes between standard input and output and @sock
 *
 * Ends with the other side; the end of the input is handed on. Return: 0 or negative errno.
 */
int relay_standard_streams(int sock) {
        struct pollfd polls[] = {{.fd = sock, .events = POLLIN},
                                 {.fd = STDIN_FILENO, .events = POLLIN}};

        for (;;) {
                ssize_t n = 1;

                if (poll(polls, ELEMENTSOF(polls), -1) < 0 && errno != EINTR)
                        return -errno;
                if (polls[0].revents) {
                        n = relay(sock, STDOUT_FILENO);
                        if (n <= 0)
                                return (int) n;
                }
                if (polls[1].revents)
                        n = relay(STDIN_FILENO, sock);
                if (n < 0)
                        return (int) n;
                if (n == 0) {
                        polls[1].fd = -1;
                        (void) shutdown(sock, SHUT_WR);
                }
        }
}
