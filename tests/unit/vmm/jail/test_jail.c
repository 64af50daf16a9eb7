/* SPDX-License-Identifier: Apache-2.0 */

/* What who broke into the VMM can still reach: each test makes a process that enters the sandbox and then tries. */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "vmm/jail/jail.h"

/* A directory with a socket, and a socket beside it; and one that has no file. */
typedef struct Fixture {
        char top[64], inner[80], inside[100], outside[100];
        struct sockaddr_un abstract;
        socklen_t abstract_len;
        int listeners[3], directory;
        pid_t pid;
} Fixture;

typedef int (*Attempt)(const Fixture *f);

static int listen_at(const struct sockaddr_un *address, socklen_t len) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (const struct sockaddr *) address, len), 0);
        assert_int_equal(listen(fd, 8), 0);
        return fd;
}

static int listen_path(const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        return listen_at(&address, sizeof(address));
}

static bool has_namespaces(void) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) < 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status == 0;
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void) snprintf(f->top, sizeof(f->top), "/tmp/vivarium-jail.XXXXXX");
        assert_non_null(mkdtemp(f->top));
        f->pid = getpid();
        (void) snprintf(f->inner, sizeof(f->inner), "%s/inner", f->top);
        (void) snprintf(f->inside, sizeof(f->inside), "%s/socket", f->inner);
        (void) snprintf(f->outside, sizeof(f->outside), "%s/outside", f->top);
        assert_int_equal(mkdir(f->inner, 0700), 0);
        f->listeners[0] = listen_path(f->inside);
        f->listeners[1] = listen_path(f->outside);
        f->abstract.sun_family = AF_UNIX;
        memcpy(f->abstract.sun_path + 1, f->top, strlen(f->top));
        f->abstract_len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + strlen(f->top));
        f->listeners[2] = listen_at(&f->abstract, f->abstract_len);
        f->directory = open(f->inner, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(f->directory >= 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        for (unsigned i = 0; i < 3; i++)
                (void) fd_close(f->listeners[i]);
        (void) fd_close(f->directory);
        (void) unlink(f->inside);
        (void) unlink(f->outside);
        (void) rmdir(f->inner);
        (void) rmdir(f->top);
        free(f);
        return 0;
}

static int lose_capabilities(void) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

        return (int) syscall(SYS_capset, &header, none);
}

/* Return: what @attempt returned in the sandbox, 0 to 127, or 128 and the signal that ended it. */
static int in_sandbox_of(const Fixture *f, bool powerless, Attempt attempt) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                (void) close(STDERR_FILENO);
                if (powerless && lose_capabilities() < 0)
                        _exit(98);
                if (jail_enter(&(JailOptions){0}, NULL) < 0 || jail_enter_role(JAIL_LOOP) < 0)
                        _exit(99);
                _exit(attempt(f));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int in_sandbox(const Fixture *f, Attempt attempt) {
        return in_sandbox_of(f, false, attempt);
}

/* Return: 0 or the errno. */
static int connect_path(const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        return connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? errno : 0;
}

static int connect_below(const Fixture *f, const char *path) {
        char text[80];

        (void) snprintf(text, sizeof(text), "/proc/self/fd/%d/%s", f->directory, path);
        return connect_path(text);
}

static int connect_inside(const Fixture *f) {
        return connect_below(f, "socket");
}

static int connect_upwards(const Fixture *f) {
        return connect_below(f, "../outside");
}

static int connect_outside(const Fixture *f) {
        return connect_path(f->outside);
}

static int connect_abstract(const Fixture *f) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return connect(fd, (const struct sockaddr *) &f->abstract, f->abstract_len) < 0 ? errno : 0;
}

static void test_sockets_are_reached_in_open_directories_alone(void **state) {
        assert_int_equal(in_sandbox(*state, connect_inside), 0);
        assert_int_equal(in_sandbox(*state, connect_upwards), ENOENT);
        assert_int_equal(in_sandbox(*state, connect_outside), ENOENT);
}

static void test_sockets_without_a_file_are_out_of_reach(void **state) {
        assert_int_equal(in_sandbox(*state, connect_abstract), ECONNREFUSED);
}

static int look_for_processes(const Fixture *f) {
        struct stat st;

        return stat("/proc/1", &st) < 0 ? errno : 0;
}

/* Nor do the links of other processes lead out; the parent is dumpable and of our user. */
static int connect_through_parent(const Fixture *f) {
        char path[140];

        (void) snprintf(path, sizeof(path), "/proc/%d/root%s", f->pid, f->outside);
        return connect_path(path);
}

static int look_for_files(const Fixture *f) {
        struct stat st;

        return stat("/etc/passwd", &st) < 0 ? errno : 0;
}

static int open_again(const Fixture *f) {
        char path[32];

        /* What is open for reading, for writing. */
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", STDIN_FILENO);
        return open(path, O_RDWR | O_CLOEXEC) < 0 ? errno : 0;
}

static void test_no_file_and_no_process_is_in_view(void **state) {
        assert_int_equal(in_sandbox(*state, look_for_processes), ENOENT);
        assert_int_equal(in_sandbox(*state, look_for_files), ENOENT);
        assert_int_equal(in_sandbox(*state, open_again), EACCES);
}

static int signal_parent(const Fixture *f) {
        (void) kill(getppid(), SIGKILL);
        return 0;
}

/* As a service of the system without capabilities starts it: then it is nobody in its namespace of users. */
static void test_root_without_capabilities_has_no_files_in_view_either(void **state) {
        const Fixture *f = *state;

        assert_int_equal(in_sandbox_of(f, true, connect_inside), 0);
        assert_int_equal(in_sandbox_of(f, true, connect_upwards), ENOENT);
        assert_int_equal(in_sandbox_of(f, true, connect_outside), ENOENT);
        assert_int_equal(in_sandbox_of(f, true, connect_abstract), ECONNREFUSED);
        assert_int_equal(in_sandbox_of(f, true, connect_through_parent), EACCES);
        assert_int_equal(in_sandbox_of(f, true, look_for_files), ENOENT);
}

static void test_no_other_process_can_be_signalled(void **state) {
        assert_int_equal(in_sandbox(*state, signal_parent), 128 + SIGSYS);
}

static int use_inherited(const Fixture *f) {
        return fcntl(100, F_GETFD) < 0 ? errno : 0;
}

static void test_inherited_descriptors_are_closed(void **state) {
        assert_int_equal(dup2(STDIN_FILENO, 100), 100);
        assert_int_equal(in_sandbox(*state, use_inherited), EBADF);
        (void) close(100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        print_message("SKIP test_jail: a sanitizer's own system calls are in no filter\n");
        return 0;
#endif
        const struct CMUnitTest tests[] = {
                TEST(test_sockets_are_reached_in_open_directories_alone),
                TEST(test_sockets_without_a_file_are_out_of_reach),
                TEST(test_no_file_and_no_process_is_in_view),
                TEST(test_root_without_capabilities_has_no_files_in_view_either),
                TEST(test_no_other_process_can_be_signalled),
                TEST(test_inherited_descriptors_are_closed),
        };

        if (!has_namespaces()) {
                print_message("SKIP test_jail: no namespaces for us\n");
                return 0;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
