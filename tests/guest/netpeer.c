/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Both ends of the network tests, static so that it runs in any initramfs:
 *
 *   netpeer listen PORT                       serve connections, one after another, on IPv4 and IPv6, until killed
 *   netpeer serve PORT N                      the same for N connections that carried something
 *   netpeer plain INTERFACE                   switch off what it leaves to a card: checksums, cutting of segments
 *   netpeer MODE ADDRESS PORT SECONDS         connect and measure; MODE is send, receive or echo; SIGTERM ends an
 *                                             echo in order, and whatever else at once
 *
 * A stream is a block of 65,521 bytes over and over, a length that shares no factor with a segment's, so that a byte that
 * is lost, doubled or moved is seen; the receiver compares every one. `echo` sends a byte and waits for it to come back.
 * The client prints `netpeer MODE BYTES-OR-ROUNDS in SECONDS s: RATE` and exits with 0 only when every byte was right.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65521u
#define CHUNK 65536u
#define FOREVER UINT32_MAX
#define MODE_SEND 's' /* as the client sees it */
#define MODE_RECEIVE 'r'
#define MODE_ECHO 'e'

typedef struct Request {
        char mode;
        uint8_t seconds;
} Request;

typedef struct Verdict {
        uint64_t bytes; /* network order is not needed: both ends are little endian */
        uint64_t wrong;
} Verdict;

static volatile sig_atomic_t terminated;
static uint8_t pattern[BLOCK + CHUNK];

static void make_pattern(void) {
        uint64_t x = 0x9e3779b97f4a7c15u;

        for (size_t i = 0; i < sizeof(pattern); i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                pattern[i] = i < BLOCK ? (uint8_t) (x >> 32) : pattern[i - BLOCK];
        }
}

static double now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static bool transfer(int fd, void *data, size_t len, bool out) {
        for (uint8_t *p = data; len > 0;) {
                ssize_t n = out ? write(fd, p, len) : read(fd, p, len);

                if (n <= 0)
                        return false;
                p += n;
                len -= (size_t) n;
        }
        return true;
}

/* Whether bytes are under way; those of a connection that was reset are not, although they count as unsent for ever. */
static bool is_flushing(int fd) {
        struct tcp_info info = {0};
        socklen_t len = sizeof(info);
        int left = 0;

        return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
               info.tcpi_state == TCP_ESTABLISHED && ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0;
}

static uint64_t send_pattern(int fd, unsigned seconds) {
        double end = now() + seconds;
        uint64_t done = 0;

        while (now() < end) {
                ssize_t n = write(fd, pattern + done % BLOCK, CHUNK);

                if (n <= 0)
                        break;
                done += (uint64_t) n;
        }
        /* A middleman may not carry what is under way past the end; passt of 2023 does not. */
        while (is_flushing(fd))
                (void) usleep(1000);
        (void) shutdown(fd, SHUT_WR);
        return done;
}

static Verdict receive_pattern(int fd) {
        static uint8_t chunk[CHUNK];
        Verdict verdict = {0};
        ssize_t n;

        while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
                if (memcmp(chunk, pattern + verdict.bytes % BLOCK, (size_t) n) != 0)
                        verdict.wrong++;
                verdict.bytes += (uint64_t) n;
        }
        return verdict;
}

/* Return: whether the client said what it wants. */
static bool serve_one(int fd) {
        Request request;
        char byte;

        if (!transfer(fd, &request, sizeof(request), false))
                return false;
        if (request.mode == MODE_SEND) {
                Verdict verdict = receive_pattern(fd);

                (void) transfer(fd, &verdict, sizeof(verdict), true);
        } else if (request.mode == MODE_RECEIVE)
                (void) send_pattern(fd, request.seconds);
        else
                while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
                        ;
        return true;
}

static int serve(uint16_t port, unsigned n) {
        struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        int one = 1, listener = socket(AF_INET6, SOCK_STREAM, 0);

        (void) setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(listener, (struct sockaddr *) &any, sizeof(any)) < 0 || listen(listener, 8) < 0) {
                perror("netpeer: listen");
                return 1;
        }
        printf("netpeer: serving port %u\n", port);
        (void) fflush(stdout);
        while (n > 0) {
                int fd = accept(listener, NULL, NULL);

                if (fd < 0)
                        continue;
                (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
                if (serve_one(fd) && n != FOREVER)
                        n--;
                (void) close(fd);
        }
        return 0;
}

static int connect_to(const char *address, uint16_t port) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        bool is_v6 = strchr(address, ':');
        int one = 1, fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

        if (inet_pton(is_v6 ? AF_INET6 : AF_INET, address,
                      is_v6 ? (void *) &v6.sin6_addr : (void *) &v4.sin_addr) != 1)
                return -1;
        if (connect(fd, is_v6 ? (struct sockaddr *) &v6 : (struct sockaddr *) &v4,
                    is_v6 ? sizeof(v6) : sizeof(v4)) < 0)
                return -1;
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return fd;
}

static uint64_t echo(int fd, unsigned seconds) {
        double end = now() + seconds;
        uint64_t rounds = 0;

        while (now() < end && !terminated) {
                char sent = (char) rounds, got;

                if (write(fd, &sent, 1) != 1 || read(fd, &got, 1) != 1 || got != sent)
                        return 0;
                rounds++;
        }
        return rounds;
}

static void on_term(int number) {
        terminated = 1;
}

static int measure(const char *mode, const char *address, uint16_t port, unsigned seconds) {
        Request request = {.mode = mode[0], .seconds = (uint8_t) seconds};
        int fd = connect_to(address, port);
        Verdict verdict = {0};
        uint64_t sent = 0;
        double start, took;
        /* the answer that is under way still counts; a second signal is the usual end */
        const struct sigaction term = {.sa_handler = on_term,
                                       .sa_flags = SA_RESTART | (int) SA_RESETHAND};

        if (fd < 0 || !transfer(fd, &request, sizeof(request), true)) {
                fprintf(stderr, "netpeer: %s: %s\n", address, strerror(errno));
                return 1;
        }
        if (mode[0] == MODE_ECHO)
                (void) sigaction(SIGTERM, &term, NULL);
        start = now();
        if (mode[0] == MODE_SEND) {
                sent = send_pattern(fd, seconds);
                if (!transfer(fd, &verdict, sizeof(verdict), false) || verdict.bytes != sent)
                        verdict.wrong++;
        } else if (mode[0] == MODE_RECEIVE)
                verdict = receive_pattern(fd);
        else
                verdict.bytes = echo(fd, seconds);
        took = now() - start;
        if (verdict.wrong > 0 || verdict.bytes == 0) {
                printf("netpeer %s failed: %llu bytes arrived of %llu, %llu pieces wrong\n", mode,
                       (unsigned long long) verdict.bytes, (unsigned long long) sent,
                       (unsigned long long) verdict.wrong);
                return 1;
        }
        if (mode[0] == MODE_ECHO)
                printf("netpeer echo %llu in %.2f s: %.0f /s\n", (unsigned long long) verdict.bytes,
                       took, (double) verdict.bytes / took);
        else
                printf("netpeer %s %llu in %.2f s: %.1f MB/s\n", mode,
                       (unsigned long long) verdict.bytes, took,
                       (double) verdict.bytes / took / 1e6);
        return 0;
}

static int make_plain(const char *interface) {
        static const uint32_t off[] = {ETHTOOL_SGRO, ETHTOOL_SGSO,    ETHTOOL_STSO,
                                       ETHTOOL_SSG,  ETHTOOL_STXCSUM, ETHTOOL_SRXCSUM};
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        unsigned done = 0;

        for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
                struct ethtool_value value = {.cmd = off[i]};
                struct ifreq ifr = {.ifr_data = (void *) &value};

                (void) snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
                done += ioctl(fd, SIOCETHTOOL, &ifr) == 0; /* some are fixed, as they should be */
        }
        return done > 0 ? 0 : 1;
}

int main(int argc, char *argv[]) {
        make_pattern();
        (void) signal(SIGPIPE, SIG_IGN);
        if (argc == 3 && strcmp(argv[1], "listen") == 0)
                return serve((uint16_t) atoi(argv[2]), FOREVER);
        if (argc == 4 && strcmp(argv[1], "serve") == 0)
                return serve((uint16_t) atoi(argv[2]), (unsigned) atoi(argv[3]));
        if (argc == 3 && strcmp(argv[1], "plain") == 0)
                return make_plain(argv[2]);
        if (argc == 5 && (strcmp(argv[1], "send") == 0 || strcmp(argv[1], "receive") == 0 ||
                          strcmp(argv[1], "echo") == 0))
                return measure(argv[1], argv[2], (uint16_t) atoi(argv[3]),
                               (unsigned) atoi(argv[4]));
        fprintf(stderr, "usage: netpeer listen PORT | serve PORT N | plain INTERFACE | "
                        "send|receive|echo ADDRESS "
                        "PORT SECONDS\n");
        return 2;
}
