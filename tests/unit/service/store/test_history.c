/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/store/history.h"
#include "service/store/late_file.h"

/* A disk, and the memory beside it. The worker's thread does not get to a write while the gate is shut. */
typedef struct Disk {
        char dir[40], ahead[48];
        int ahead_dir;
        sd_event *event;
        Worker *worker;
        WorkerJob stuck;
        int gate[2];
} Disk;

static void wait_at_gate(WorkerJob *job) {
        const Disk *disk = CONTAINER_OF(job, Disk, stuck);
        char byte;

        (void) !read(disk->gate[0], &byte, 1);
}

static void pass_gate(WorkerJob *job) {
}

static void get_stuck(Disk *disk) {
        disk->stuck = (WorkerJob){.run = wait_at_gate, .done = pass_gate};
        worker_add(disk->worker, &disk->stuck);
}

static void go_on(Disk *disk) {
        assert_int_equal(write(disk->gate[1], "", 1), 1);
}

static int setup(void **state) {
        Disk *disk = calloc(1, sizeof(*disk));

        assert_non_null(disk);
        (void) strcpy(disk->dir, "/tmp/vivarium-store.XXXXXX");
        assert_non_null(mkdtemp(disk->dir));
        (void) snprintf(disk->ahead, sizeof(disk->ahead), "%s/ahead", disk->dir);
        assert_int_equal(mkdir(disk->ahead, 0700), 0);
        disk->ahead_dir = open(disk->ahead, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(disk->ahead_dir >= 0);
        assert_int_equal(pipe(disk->gate), 0);
        assert_true(sd_event_new(&disk->event) >= 0);
        assert_int_equal(worker_new(disk->event, &disk->worker), 0);
        *state = disk;
        return 0;
}

static int teardown(void **state) {
        static const char *const names[] = {"ahead/history", "ahead/last",   "ahead",
                                            "history",       ".history.bad", "last"};
        Disk *disk = *state;
        char path[96];

        (void) worker_free(disk->worker);
        (void) sd_event_unref(disk->event);
        (void) fd_close(disk->ahead_dir);
        (void) fd_close(disk->gate[0]);
        (void) fd_close(disk->gate[1]);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                (void) snprintf(path, sizeof(path), "%s/%s", disk->dir, names[i]);
                (void) remove(path);
        }
        assert_int_equal(rmdir(disk->dir), 0);
        free(disk);
        return 0;
}

static History *open_history(const Disk *disk, size_t max, Worker *worker) {
        History *history = NULL;

        assert_int_equal(history_open(&(HistorySpec){.directory = disk->dir,
                                                     .ahead_dir = disk->ahead_dir,
                                                     .key = "ID",
                                                     .max = max,
                                                     .worker = worker},
                                      &history),
                         0);
        assert_non_null(history);
        return history;
}

/* As the daemon does at its end. */
static void finish(Disk *disk, History *history) {
        disk->worker = worker_free(disk->worker);
        (void) history_free(history);
}

static void add(History *history, const char *id) {
        _cleanup_(fields_deinit) Fields record = {0};

        fields_set(&record, "ID", id);
        assert_int_equal(history_add(history, &record), 0);
}

static void add_many(History *history, unsigned first, unsigned n) {
        char id[16];

        for (unsigned i = first; i < first + n; i++) {
                (void) snprintf(id, sizeof(id), "vm%u", i);
                add(history, id);
        }
}

static void assert_record(const History *history, size_t age, const char *id) {
        _cleanup_(fields_deinit) Fields record = {0};

        assert_int_equal(history_read(history, age, &record), 0);
        assert_string_equal(fields_get(&record, "ID"), id);
}

static off_t size_of(const Disk *disk, const char *name) {
        char path[96];
        struct stat st;

        (void) snprintf(path, sizeof(path), "%s/%s", disk->dir, name);
        assert_int_equal(stat(path, &st), 0);
        return st.st_size;
}

static void test_the_history_is_bounded_and_outlives_its_writer(void **state) {
        Disk *disk = *state;
        History *history = open_history(disk, 3, disk->worker);

        add_many(history, 0, 20);
        finish(disk, history);
        assert_int_equal(size_of(disk, "ahead/history"), 0);
        history = open_history(disk, 3, NULL);
        assert_int_equal(history_n(history), 3);
        assert_record(history, 0, "vm19");
        assert_record(history, 2, "vm17");
        assert_true(history_has(history, "vm18"));
        assert_false(history_has(history, "vm16"));
        (void) history_free(history);
}

static void test_a_damaged_record_costs_no_other(void **state) {
        Disk *disk = *state;
        History *history = open_history(disk, 10, NULL);
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[96];

        add(history, "one");
        add(history, "two");
        add(history, "three");
        (void) history_free(history);
        (void) snprintf(path, sizeof(path), "%s/history", disk->dir);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, "X", 1, 45), 1); /* in the second */
        history = open_history(disk, 10, NULL);
        assert_int_equal(history_n(history), 2);
        assert_record(history, 0, "three");
        assert_record(history, 1, "one");
        add(history, "four");
        assert_record(history, 0, "four");
        (void) history_free(history);
}

static void test_a_disk_that_stands_still_keeps_nobody_waiting(void **state) {
        Disk *disk = *state;
        History *history = open_history(disk, 10, disk->worker);

        get_stuck(disk);
        add_many(history, 0, 3);
        assert_int_equal(history_n(history), 3);
        assert_record(history, 0, "vm2");
        assert_record(history, 2, "vm0");
        assert_true(history_has(history, "vm1"));
        assert_int_equal(size_of(disk, "history"), 0);
        go_on(disk);
        finish(disk, history);
        assert_int_equal(size_of(disk, "ahead/history"), 0);
        history = open_history(disk, 10, NULL);
        assert_int_equal(history_n(history), 3);
        assert_record(history, 0, "vm2");
        (void) history_free(history);
}

static void test_more_deaths_than_are_kept_find_a_disk_that_stands_still(void **state) {
        Disk *disk = *state;
        History *history = open_history(disk, 3, disk->worker);

        get_stuck(disk);
        add_many(history, 0, 100);
        assert_int_equal(history_n(history), 3);
        assert_record(history, 0, "vm99");
        assert_record(history, 2, "vm97");
        /* Memory is not the place for the others, either: no more than twice what is kept. */
        assert_true(size_of(disk, "ahead/history") < 6 * 100);
        go_on(disk);
        finish(disk, history);
        history = open_history(disk, 3, NULL);
        assert_int_equal(history_n(history), 3);
        assert_record(history, 0, "vm99");
        assert_record(history, 2, "vm97");
        (void) history_free(history);
}

/* The first daemon is as one that was killed: what it has not written, another one finds. */
static void test_a_killed_daemon_s_deaths_are_written_by_the_next_one_once(void **state) {
        Disk *disk = *state;
        History *killed = open_history(disk, 10, disk->worker), *next;

        add(killed, "written");
        while (size_of(disk, "ahead/history") > 0)
                assert_true(sd_event_run(disk->event, UINT64_MAX) >= 0);
        get_stuck(disk);
        add_many(killed, 0, 3);
        next = open_history(disk, 10, NULL);
        assert_int_equal(history_n(next), 4);
        assert_record(next, 0, "vm2");
        assert_record(next, 3, "written");
        assert_int_equal(size_of(disk, "ahead/history"), 0);
        (void) history_free(next);
        go_on(disk);
        finish(disk, killed);
}

static void test_what_was_written_but_not_heard_of_is_not_written_twice(void **state) {
        Disk *disk = *state;
        History *killed = open_history(disk, 10, disk->worker), *next;

        add(killed, "one");
        /* The worker has written it; nobody runs the loop, where that would be told. */
        while (size_of(disk, "history") == 0)
                ;
        assert_true(size_of(disk, "ahead/history") > 0);
        next = open_history(disk, 10, NULL);
        assert_int_equal(history_n(next), 1);
        (void) history_free(next);
        finish(disk, killed);
}

static void test_a_full_disk_costs_what_it_does_not_take_and_no_more(void **state) {
        const struct rlimit full = {0, RLIM_INFINITY};
        Disk *disk = *state;
        History *history = open_history(disk, 10, disk->worker);
        struct rlimit before;

        add(history, "one");
        while (size_of(disk, "ahead/history") > 0)
                assert_true(sd_event_run(disk->event, UINT64_MAX) >= 0);
        log_set_level(LOG_LEVEL_OFF);
        (void) signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        /* Neither the file nor that which is in memory grows. */
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
        add_many(history, 0, 3);
        while (history_n(history) > 1)
                assert_true(sd_event_run(disk->event, UINT64_MAX) >= 0);
        assert_record(history, 0, "one");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        log_set_level(LOG_LEVEL_INFO);
        add(history, "two");
        finish(disk, history);
        history = open_history(disk, 10, NULL);
        assert_int_equal(history_n(history), 2);
        assert_record(history, 0, "two");
        assert_record(history, 1, "one");
        (void) history_free(history);
}

/* Who was told what. */
typedef struct Told {
        char ids[64][16];
        size_t n, enough;
        unsigned n_ends;
        int r;
} Told;

static int on_found(void *userdata, const Fields *record) {
        Told *told = userdata;

        assert_int_equal(told->n_ends, 0);
        assert_true(told->n < ELEMENTSOF(told->ids));
        (void) snprintf(told->ids[told->n++], sizeof(told->ids[0]), "%s", fields_get(record, "ID"));
        return told->n == told->enough;
}

static void on_ended(void *userdata, int r) {
        Told *told = userdata;

        told->n_ends++;
        told->r = r;
}

static HistoryReader *read_all(History *history, Told *told) {
        HistoryReader *reader = NULL;

        assert_int_equal(
                history_read_all(history, &(HistoryListener){on_found, on_ended, told}, &reader),
                0);
        return reader;
}

static void assert_told(const Told *told, unsigned youngest, size_t n) {
        char id[16];

        assert_int_equal(told->n, n);
        for (size_t i = 0; i < n; i++) {
                (void) snprintf(id, sizeof(id), "vm%zu", youngest - i);
                assert_string_equal(told->ids[i], id);
        }
}

static void run_until_written(const Disk *disk) {
        while (size_of(disk, "ahead/history") > 0)
                assert_true(sd_event_run(disk->event, UINT64_MAX) >= 0);
}

static void run_until_ended(const Disk *disk, const Told *told) {
        while (told->n_ends == 0)
                assert_true(sd_event_run(disk->event, UINT64_MAX) >= 0);
        assert_int_equal(told->r, 0);
}

static void test_who_reads_it_all_gets_the_rest_when_the_disk_has_it(void **state) {
        Disk *disk = *state;
        History *history = open_history(disk, 60, disk->worker);
        Told told = {0};

        add_many(history, 0, 40);
        run_until_written(disk);
        get_stuck(disk);
        add_many(history, 40, 2);
        assert_non_null(read_all(history, &told));
        assert_told(&told, 41, 2);
        add(history, "too late");
        go_on(disk);
        run_until_ended(disk, &told);
        assert_told(&told, 41, 42);
        finish(disk, history);
        assert_int_equal(told.n_ends, 1);
}

static void test_who_has_enough_is_told_no_more(void **state) {
        Disk *disk = *state;
        History *history = open_history(disk, 60, disk->worker);
        Told told = {.enough = 20};

        add_many(history, 0, 40);
        run_until_written(disk);
        assert_non_null(read_all(history, &told));
        run_until_ended(disk, &told);
        assert_told(&told, 39, 20);
        get_stuck(disk);
        add_many(history, 40, 2);
        told = (Told){.enough = 1};
        /* That is in memory, and so the disk is not even asked. */
        assert_null(read_all(history, &told));
        assert_told(&told, 41, 1);
        go_on(disk);
        finish(disk, history);
        assert_int_equal(told.n_ends, 0);
}

static void test_a_file_that_is_written_anew_meanwhile_is_read_to_the_end(void **state) {
        Disk *disk = *state;
        History *history = open_history(disk, 40, disk->worker);
        Told told = {0};
        off_t size;

        for (unsigned i = 0; i < 79; i++) {
                add_many(history, i, 1);
                run_until_written(disk);
        }
        size = size_of(disk, "history");
        get_stuck(disk);
        assert_non_null(read_all(history, &told));
        add(history,
            "vm79"); /* with which the file is to be shortened, between two pieces of what is read */
        go_on(disk);
        run_until_ended(disk, &told);
        assert_told(&told, 78, 40);
        assert_true(size_of(disk, "history") < size);
        assert_record(history, 0, "vm79");
        finish(disk, history);
}

static void test_who_cancels_is_told_nothing(void **state) {
        Disk *disk = *state;
        History *history = open_history(disk, 60, disk->worker);
        Told told = {0};

        add_many(history, 0, 40);
        run_until_written(disk);
        get_stuck(disk);
        history_reader_cancel(read_all(history, &told));
        go_on(disk);
        finish(disk, history);
        assert_int_equal(told.n, 0);
        assert_int_equal(told.n_ends, 0);
}

static void test_a_damaged_record_costs_who_reads_it_all_no_other(void **state) {
        Disk *disk = *state;
        History *history = open_history(disk, 10, disk->worker);
        _cleanup_(fd_closep) int fd = -EBADF;
        Told told = {0};
        char path[96];

        add_many(history, 0, 3);
        run_until_written(disk);
        (void) snprintf(path, sizeof(path), "%s/history", disk->dir);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, "X", 1, 45), 1); /* in the second */
        assert_non_null(read_all(history, &told));
        run_until_ended(disk, &told);
        assert_int_equal(told.n, 2);
        assert_string_equal(told.ids[0], "vm2");
        assert_string_equal(told.ids[1], "vm0");
        /* Of one that lost its end, nobody knows what it was. */
        assert_int_equal(ftruncate(fd, 60), 0);
        told = (Told){0};
        assert_non_null(read_all(history, &told));
        while (told.n_ends == 0)
                assert_true(sd_event_run(disk->event, UINT64_MAX) >= 0);
        assert_int_equal(told.r, -EIO);
        finish(disk, history);
}

static LateFile *open_late(const Disk *disk, Worker *worker) {
        LateFile *file = NULL;

        assert_int_equal(late_file_new(&(LateFileSpec){.directory = disk->dir,
                                                       .ahead_dir = disk->ahead_dir,
                                                       .name = "last",
                                                       .worker = worker},
                                       &file),
                         0);
        assert_non_null(file);
        return file;
}

static void save_number(LateFile *file, uint64_t number) {
        _cleanup_(fields_deinit) Fields fields = {0};

        fields_set_u64(&fields, "NUMBER", number);
        assert_int_equal(late_file_save(file, &fields), 0);
}

static uint64_t load_number(const LateFile *file) {
        _cleanup_(fields_deinit) Fields fields = {0};

        assert_int_equal(late_file_load(file, &fields), 0);
        return fields_get_u64(&fields, "NUMBER", 0);
}

static void test_the_last_content_is_read_at_once_and_written_late(void **state) {
        Disk *disk = *state;
        LateFile *file = open_late(disk, disk->worker);
        char path[96];

        get_stuck(disk);
        for (uint64_t i = 1; i <= 100; i++)
                save_number(file, i);
        assert_int_equal(load_number(file), 100);
        (void) snprintf(path, sizeof(path), "%s/last", disk->dir);
        assert_int_equal(access(path, F_OK), -1);
        go_on(disk);
        disk->worker = worker_free(disk->worker);
        (void) late_file_free(file);
        /* As after a start of the host, with nothing in memory. */
        assert_int_equal(unlinkat(disk->ahead_dir, "last", 0), 0);
        file = open_late(disk, NULL);
        assert_int_equal(load_number(file), 100);
        (void) late_file_free(file);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_history_is_bounded_and_outlives_its_writer),
                TEST(test_a_damaged_record_costs_no_other),
                TEST(test_a_disk_that_stands_still_keeps_nobody_waiting),
                TEST(test_more_deaths_than_are_kept_find_a_disk_that_stands_still),
                TEST(test_a_killed_daemon_s_deaths_are_written_by_the_next_one_once),
                TEST(test_what_was_written_but_not_heard_of_is_not_written_twice),
                TEST(test_a_full_disk_costs_what_it_does_not_take_and_no_more),
                TEST(test_who_reads_it_all_gets_the_rest_when_the_disk_has_it),
                TEST(test_who_has_enough_is_told_no_more),
                TEST(test_a_file_that_is_written_anew_meanwhile_is_read_to_the_end),
                TEST(test_who_cancels_is_told_nothing),
                TEST(test_a_damaged_record_costs_who_reads_it_all_no_other),
                TEST(test_the_last_content_is_read_at_once_and_written_late),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
