/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "service/metrics/server.h"
#include "service/metrics/textfile.h"

#define BIG_BYTES (4u << 20)

typedef struct Fixture {
        char dir[32], path[48];
        sd_event *event;
        MetricsServer *server;
        size_t body_bytes; /* what an answer is filled up to */
        unsigned n_written;
} Fixture;

static int write_text(void *userdata, ExpositionFormat format, char **ret) {
        Fixture *f = userdata;
        size_t n = f->body_bytes > 0 ? f->body_bytes : 4;
        char *text = malloc(n + 1);

        if (!text)
                return -ENOMEM;
        memset(text, format == EXPOSITION_OPENMETRICS ? 'o' : 'p', n);
        text[n] = '\0';
        f->n_written++;
        *ret = text;
        return 0;
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void) snprintf(f->dir, sizeof(f->dir), "/tmp/metrics-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        (void) snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
        assert_true(sd_event_new(&f->event) >= 0);
        assert_int_equal(metrics_server_new(f->event, f->path, write_text, f, &f->server), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) metrics_server_free(f->server);
        (void) sd_event_unref(f->event);
        assert_int_equal(rmdir(f->dir), 0); /* the socket is gone */
        free(f);
        return 0;
}

static int connect_to(const Fixture *f) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
        assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

static void turn(const Fixture *f) {
        while (sd_event_run(f->event, 0) > 0)
                ;
}

/* All that comes until the server closes; owned by the caller. */
static char *read_all(const Fixture *f, int fd) {
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        char *all = NULL;

        for (;;) {
                char piece[8192];
                ssize_t n;

                turn(f);
                n = recv(fd, piece, sizeof(piece), 0);
                if (n < 0) {
                        assert_int_equal(errno, EAGAIN);
                        continue;
                }
                if (n == 0)
                        break;
                strbuf_append_bytes(&text, piece, (size_t) n);
        }
        assert_int_equal(strbuf_finish(&text, &all), 0);
        return all;
}

static char *ask(const Fixture *f, const char *request) {
        _cleanup_(fd_closep) int fd = connect_to(f);

        assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL),
                         (ssize_t) strlen(request));
        return read_all(f, fd);
}

static void assert_answer(const Fixture *f, const char *request, const char *status,
                          const char *end) {
        _cleanup_(freep) char *text = ask(f, request);

        assert_non_null(str_after_prefix(text, "HTTP/1.1 "));
        assert_memory_equal(text + 9, status, strlen(status));
        assert_true(strlen(text) >= strlen(end));
        assert_string_equal(text + strlen(text) - strlen(end), end);
}

static void test_a_request_gets_the_format_it_accepts(void **state) {
        Fixture *f = *state;

        assert_answer(f, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200", "\r\n\r\npppp");
        assert_answer(f, "GET / HTTP/1.0\n\n", "200", "\r\n\r\npppp");
        assert_answer(f, "GET /metrics?x=1 HTTP/1.1\r\n\r\n", "200", "\r\n\r\npppp");
        assert_answer(f,
                      "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;q=0.9\r\n\r\n",
                      "200", "\r\n\r\noooo");
        assert_answer(f, "HEAD /metrics HTTP/1.1\r\n\r\n", "200",
                      "Content-Length: 4\r\nConnection: close\r\n\r\n");
}

static void test_other_requests_are_refused(void **state) {
        Fixture *f = *state;

        assert_answer(f, "GET /etc/passwd HTTP/1.1\r\n\r\n", "404", "/metrics\n");
        assert_answer(f, "GET /metricsx HTTP/1.1\r\n\r\n", "404", "/metrics\n");
        assert_answer(f, "POST /metrics HTTP/1.1\r\n\r\n", "405", "known here\n");
        assert_answer(f, "\r\n\r\n", "405", "known here\n");
        assert_int_equal(f->n_written, 0);
}

static void test_a_request_without_end_is_cut_off(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_to(f);
        char junk[METRICS_REQUEST_BYTES_MAX];
        _cleanup_(freep) char *text = NULL;

        memset(junk, 'x', sizeof(junk));
        assert_int_equal(send(fd, junk, sizeof(junk), MSG_NOSIGNAL), (ssize_t) sizeof(junk));
        text = read_all(f, fd);
        assert_string_equal(text, "");
}

static void test_an_answer_beyond_the_socket_s_buffer_arrives_whole(void **state) {
        Fixture *f = *state;
        _cleanup_(freep) char *text = NULL;
        const char *body;

        f->body_bytes = BIG_BYTES;
        text = ask(f, "GET /metrics HTTP/1.1\r\n\r\n");
        body = strstr(text, "\r\n\r\n");
        assert_non_null(body);
        assert_int_equal(strspn(body + 4, "p"), BIG_BYTES);
}

static void test_silent_clients_keep_others_waiting_and_not_out(void **state) {
        Fixture *f = *state;
        int silent[METRICS_CLIENTS_MAX];

        for (unsigned i = 0; i < METRICS_CLIENTS_MAX; i++) {
                silent[i] = connect_to(f);
                turn(f);
        }
        {
                _cleanup_(fd_closep) int fd = connect_to(f);
                _cleanup_(freep) char *text = NULL;
                char c;

                assert_int_equal(send(fd, "GET / HTTP/1.0\n\n", 16, MSG_NOSIGNAL), 16);
                turn(f);
                assert_int_equal(recv(fd, &c, 1, 0), -1);
                (void) fd_close(silent[0]);
                text = read_all(f, fd);
                assert_non_null(strstr(text, "pppp"));
        }
        for (unsigned i = 1; i < METRICS_CLIENTS_MAX; i++)
                (void) fd_close(silent[i]);
        turn(f);
}

static void test_a_socket_left_behind_is_replaced_and_a_living_one_is_not(void **state) {
        Fixture *f = *state;
        MetricsServer *other = NULL;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_(fd_closep) int fd = -EBADF;

        assert_int_equal(metrics_server_new(f->event, f->path, write_text, f, &other), -EADDRINUSE);
        f->server = metrics_server_free(f->server);
        /* One that was bound and whose process died. */
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        fd = fd_close(fd);
        assert_int_equal(metrics_server_new(f->event, f->path, write_text, f, &f->server), 0);
        assert_answer(f, "GET / HTTP/1.0\n\n", "200", "pppp");
}

static void test_a_file_is_replaced_whole_and_removed_at_the_end(void **state) {
        Fixture *f = *state;
        MetricsTextfile *file = NULL;
        char path[64], text[8] = {0};
        _cleanup_(fd_closep) int fd = -EBADF;
        struct stat st;

        (void) snprintf(path, sizeof(path), "%s/vivarium.prom", f->dir);
        assert_int_equal(metrics_textfile_new(f->event, path, write_text, f, &file), 0);
        while (access(path, F_OK) < 0)
                assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
        assert_true(f->n_written > 0);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(read(fd, text, sizeof(text)), 4);
        assert_string_equal(text, "pppp");
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        (void) metrics_textfile_free(file);
        assert_int_equal(access(path, F_OK), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_request_gets_the_format_it_accepts),
                TEST(test_other_requests_are_refused),
                TEST(test_a_request_without_end_is_cut_off),
                TEST(test_an_answer_beyond_the_socket_s_buffer_arrives_whole),
                TEST(test_silent_clients_keep_others_waiting_and_not_out),
                TEST(test_a_socket_left_behind_is_replaced_and_a_living_one_is_not),
                TEST(test_a_file_is_replaced_whole_and_removed_at_the_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
