/* SPDX-License-Identifier: Apache-2.0 */

/* The other end of the control socket: one request, one answer. */

#include "vmm/control/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "vmm/net/tap_open.h"
#include "vmm/vfio/open_group.h"

static int connect_to(const char *path, int *ret, TextError *reterr) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_(fd_closep) int fd = -EBADF;

        if (strlen(path) >= sizeof(address.sun_path))
                return text_error_set(reterr, -ENAMETOOLONG, "%s: longer than %zu bytes", path,
                                      sizeof(address.sun_path) - 1);
        memcpy(address.sun_path, path, strlen(path));
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0) {
                int r = -errno;

                return text_error_set(reterr, r, "cannot reach a VM at %s: %s", path, strerror(-r));
        }
        *ret = TAKE_FD(fd);
        return 0;
}

/* With @file, if any, as descriptor 0. */
static int send_message(int fd, char *json, int file) {
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {0};
        struct iovec iov = {.iov_base = json, .iov_len = strlen(json)};
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

        if (file >= 0) {
                struct cmsghdr *c;

                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
                c = CMSG_FIRSTHDR(&message);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(c), &file, sizeof(int));
        }
        return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int receive_message(int fd, char **ret) {
        _cleanup_(freep) char *buf = malloc(CONTROL_ANSWER_MAX + 1);
        ssize_t n;

        if (!buf)
                return -ENOMEM;
        n = recv(fd, buf, CONTROL_ANSWER_MAX, 0);
        if (n < 0)
                return -errno;
        if (n == 0)
                return -ECONNRESET;
        buf[n] = '\0';
        *ret = TAKE(buf);
        return 0;
}

/* A group that the machine has already is open, and cannot be opened again: then none is sent. */
static int open_group(ControlCommand *command, int *ret, TextError *reterr) {
        char *path;
        int r = vfio_open_group(command->vfio, &path, ret, reterr);

        if (r < 0)
                return r;
        free(command->request.text);
        command->request.text = path;
        command->request.fd_index = *ret < 0 ? -1 : 0;
        return 0;
}

static int open_file(ControlCommand *command, int *ret, TextError *reterr) {
        const int flags = command->file_new         ? O_RDWR | O_CREAT | O_EXCL
                          : command->file_create    ? O_WRONLY | O_CREAT | O_TRUNC
                          : command->file_read_only ? O_RDONLY
                                                    : O_RDWR;
        int fd;

        if (command->tap)
                return net_tap_open_queue(command->tap, /* multi= */ false, ret, reterr);
        if (command->vfio)
                return open_group(command, ret, reterr);
        if (!command->file)
                return 0;
        fd = fd_path_open(command->file, flags, 0600);
        if (fd < 0)
                return text_error_set(reterr, fd, "cannot open %s: %s", command->file,
                                      strerror(-fd));
        *ret = fd;
        return 0;
}

static int judge(const ControlAnswer *answer, const char *json, FILE *out, TextError *reterr) {
        /* crosvm's `swap status` prints the status without a word about what it is. */
        const char *shown = answer->kind == CONTROL_ANSWER_SWAP ? answer->text : json;

        if (answer->kind == CONTROL_ERR)
                return text_error_set(reterr, -EIO, "refused: %s", strerror(answer->error));
        if (answer->kind == CONTROL_ERR_STRING)
                return text_error_set(reterr, -EIO, "%s", answer->text);
        if (answer->kind != CONTROL_OK && (fprintf(out, "%s\n", shown) < 0 || fflush(out) != 0))
                return text_error_set(reterr, -EIO, "cannot write the answer");
        return 0;
}

static int request_and_judge(const ControlCommand *command, const char *json, int file, FILE *out,
                             TextError *reterr) {
        _cleanup_(freep) char *answered = NULL;
        _cleanup_(fd_closep) int fd = -EBADF;
        ControlAnswer answer;
        int r;

        r = connect_to(command->socket, &fd, reterr);
        if (r < 0)
                return r;
        r = send_message(fd, (char *) (uintptr_t) json, file);
        if (r >= 0)
                r = receive_message(fd, &answered);
        if (r < 0)
                return text_error_set(reterr, r, "the VM at %s did not answer: %s", command->socket,
                                      strerror(-r));
        r = control_answer_parse(answered, &answer, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "the VM's answer");
        r = judge(&answer, answered, out, reterr);
        free(answer.text);
        return r;
}

/**
 * control_client_run() - ask the VM that listens at @command->socket, and print what it answers beside "Ok"
 *
 * Opens what the request needs, and says so in it. Waits as long as the VM takes. Return: 0 when it was done; negative errno with a sentence.
 */
int control_client_run(ControlCommand *command, FILE *out, TextError *reterr) {
        _cleanup_(fd_closep) int file = -EBADF;
        _cleanup_(freep) char *json = NULL;
        int r;

        r = open_file(command, &file, reterr);
        if (r < 0)
                return r;
        r = control_request_format(&command->request, &json);
        if (r < 0)
                return r;
        r = request_and_judge(command, json, file, out, reterr);
        if (r < 0 && command->file_new)
                (void) unlink(command->file);
        return r;
}
