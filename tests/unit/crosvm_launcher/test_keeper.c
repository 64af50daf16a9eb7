/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "crosvm_launcher/keeper.h"

static int join_in_child(Keeper *keeper, pid_t *ret_child) {
        int status;

        *ret_child = fork();
        assert_true(*ret_child >= 0);
        if (*ret_child == 0)
                _exit(-keeper_join(keeper));
        assert_int_equal(waitpid(*ret_child, &status, 0), *ret_child);
        assert_true(WIFEXITED(status));
        return -WEXITSTATUS(status);
}

static void test_the_launcher_stands_in_the_record_before_it_launches(void **state) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};
        _cleanup_(fd_closep) int file = memfd_create("record", MFD_CLOEXEC);
        Keeper keeper = {.fds.record = file, .record.keeper.pid = getpid()};
        pid_t child;

        assert_int_equal(join_in_child(&keeper, &child), 0);
        assert_true(file >= 0);
        /* A record begins with its keeper, who is this process and writes nothing else. */
        assert_int_equal(lseek(file, 0, SEEK_SET), 0);
        assert_int_equal(keeper_record_read(file, &record), 0);
        assert_int_equal(record.vmm.pid, child);
        assert_true(record.vmm.start_time > 0);
        assert_false(record.executed);
}

static void test_a_launcher_whose_keeper_is_gone_does_not_launch(void **state) {
        _cleanup_(fd_closep) int file = memfd_create("record", MFD_CLOEXEC);
        Keeper keeper = {.fds.record = file, .record.keeper.pid = 1};
        pid_t child;

        assert_int_equal(join_in_child(&keeper, &child), -ESRCH);
        assert_int_equal(lseek(file, 0, SEEK_END), 0);
}

/* A keeper whose VMM has ended, and left words in a pipe; who would read them is this process. */
static pid_t start_keeper_with_words(const char *record_path, int *ret_words) {
        Keeper keeper = {.fds = KEEPER_FDS_NONE};
        int status[2], words[2];
        sigset_t all;
        pid_t pid, child;

        keeper.fds.record = open(record_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        assert_true(keeper.fds.record >= 0);
        assert_int_equal(pipe2(status, O_CLOEXEC), 0);
        assert_int_equal(pipe2(words, O_CLOEXEC), 0);
        assert_int_equal(fd_write_all(words[1], "words", 5), 0);
        keeper.fds.status_in = status[0];
        keeper.fds.failure = words[0];
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void) sigfillset(&all);
                (void) sigprocmask(SIG_SETMASK, &all, NULL);
                keeper.record.keeper.pid = getpid();
                child = fork();
                if (child <= 0)
                        _exit(child);
                _exit(-keeper_watch(&keeper, child, "vivarium-launch"));
        }
        (void) fd_close(status[0]);
        (void) fd_close(status[1]);
        (void) fd_close(words[1]);
        (void) fd_close(keeper.fds.record);
        *ret_words = words[0];
        return pid;
}

/* Whether it waits for somebody to read, which is when it looks after the record's name. */
static bool has_watch(pid_t pid) {
        const struct dirent *entry;
        bool found = false;
        char path[64];
        DIR *dir;

        (void) snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        dir = opendir(path);
        assert_non_null(dir);
        while ((entry = readdir(dir))) {
                char target[64] = {0};

                if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0)
                        found |= strcmp(target, "anon_inode:inotify") == 0;
        }
        (void) closedir(dir);
        return found;
}

static void test_a_keeper_with_words_stays_for_a_reader(void **state) {
        char path[] = "/tmp/test-keeper-XXXXXX";
        _cleanup_(fd_closep) int file = mkostemp(path, O_CLOEXEC), words = -EBADF;
        pid_t keeper = start_keeper_with_words(path, &words);
        int status;

        while (!has_watch(keeper))
                (void) sched_yield();
        assert_int_equal(chmod(path, 0400), 0); /* no name went */
        assert_int_equal(waitpid(keeper, &status, WNOHANG), 0);
        assert_int_equal(kill(keeper, KEEPER_DISMISS_SIGNAL), 0);
        assert_int_equal(waitpid(keeper, &status, 0), keeper);
        assert_int_equal(status, 0);
        assert_int_equal(unlink(path), 0);
}

static void test_a_keeper_whose_record_lost_its_name_stays_for_nobody(void **state) {
        char path[] = "/tmp/test-keeper-XXXXXX";
        _cleanup_(fd_closep) int file = mkostemp(path, O_CLOEXEC), words = -EBADF;
        pid_t keeper = start_keeper_with_words(path, &words);
        int status;

        while (!has_watch(keeper))
                (void) sched_yield();
        assert_int_equal(chmod(path, 0400), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(waitpid(keeper, &status, 0), keeper);
        assert_int_equal(status, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_launcher_stands_in_the_record_before_it_launches),
                cmocka_unit_test(test_a_launcher_whose_keeper_is_gone_does_not_launch),
                cmocka_unit_test(test_a_keeper_with_words_stays_for_a_reader),
                cmocka_unit_test(test_a_keeper_whose_record_lost_its_name_stays_for_nobody),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
