/* SPDX-License-Identifier: Apache-2.0 */

/*
 *   suspender SOCKET ROUNDS
 *
 * Suspends and resumes the VM of a control socket so many times over one connection, in turn its vCPUs alone and its
 * devices too. It runs for some milliseconds in between, each time another number of them. Exits with 0 only when each
 * answer was `"Ok"`. Static, as its neighbours are.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static int connect_to(const char *path) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

        (void) snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
        if (fd < 0 || connect(fd, (struct sockaddr *) &un, sizeof(un)) < 0) {
                perror(path);
                exit(1);
        }
        return fd;
}

static void ask(int fd, const char *request) {
        char answer[512];
        ssize_t n;

        if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 ||
            (n = recv(fd, answer, sizeof(answer) - 1, 0)) <= 0) {
                fprintf(stderr, "suspender: %s: no answer\n", request);
                exit(1);
        }
        answer[n] = '\0';
        if (strcmp(answer, "\"Ok\"") != 0) {
                fprintf(stderr, "suspender: %s: %s\n", request, answer);
                exit(1);
        }
}

int main(int argc, char *argv[]) {
        static const char *const requests[2][2] = {
                {"\"SuspendVcpus\"", "\"ResumeVcpus\""},
                {"\"SuspendVm\"", "\"ResumeVm\""},
        };
        double start = now();
        int fd, rounds;

        if (argc != 3) {
                fprintf(stderr, "usage: suspender SOCKET ROUNDS\n");
                return 2;
        }
        fd = connect_to(argv[1]);
        rounds = atoi(argv[2]);
        for (int i = 0; i < rounds; i++) {
                ask(fd, requests[i % 2][0]);
                ask(fd, requests[i % 2][1]);
                (void) usleep((useconds_t) (i % 17) * 1000);
        }
        printf("suspender: %d rounds in %.2f s\n", rounds, now() - start);
        return 0;
}
