/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <unistd.h>

#include "base/fd.h"
#include "service/worker.h"

typedef struct TestJob {
        WorkerJob job;
        Worker *worker;
        int gate;      /* read from before the job is done; -EBADF: none */
        pthread_t ran; /* by whom */
        unsigned number, again;
        unsigned *n_told; /* in this order */
} TestJob;

static void run(WorkerJob *job) {
        TestJob *test = CONTAINER_OF(job, TestJob, job);
        char byte;

        if (test->gate >= 0)
                (void) !read(test->gate, &byte, 1);
        test->ran = pthread_self();
}

static void done(WorkerJob *job) {
        TestJob *test = CONTAINER_OF(job, TestJob, job);

        assert_int_equal(test->number, (*test->n_told)++);
        if (test->again == 0)
                return;
        test->again--;
        test->number = *test->n_told;
        worker_add(test->worker, job);
}

static TestJob new_job(Worker *worker, unsigned number, unsigned *n_told) {
        return (TestJob){.job = {.run = run, .done = done},
                         .worker = worker,
                         .gate = -EBADF,
                         .number = number,
                         .n_told = n_told};
}

static void run_loop(sd_event *event, const unsigned *n_told, unsigned wanted) {
        while (*n_told < wanted)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
}

static void test_jobs_are_done_elsewhere_and_told_here_in_their_order(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(worker_freep) Worker *worker = NULL;
        unsigned n_told = 0;
        TestJob jobs[5];

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(worker_new(event, &worker), 0);
        for (unsigned i = 0; i < ELEMENTSOF(jobs); i++) {
                jobs[i] = new_job(worker, i, &n_told);
                worker_add(worker, &jobs[i].job);
        }
        run_loop(event, &n_told, ELEMENTSOF(jobs));
        for (unsigned i = 0; i < ELEMENTSOF(jobs); i++)
                assert_false(pthread_equal(jobs[i].ran, pthread_self()));
}

static void test_a_job_that_waits_keeps_nobody_but_those_behind_it(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(worker_freep) Worker *worker = NULL;
        unsigned n_told = 0;
        TestJob stuck, behind;
        int gate[2];

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(worker_new(event, &worker), 0);
        assert_int_equal(pipe(gate), 0);
        stuck = new_job(worker, 0, &n_told);
        stuck.gate = gate[0];
        behind = new_job(worker, 1, &n_told);
        worker_add(worker, &stuck.job);
        worker_add(worker, &behind.job);
        assert_int_equal(sd_event_run(event, 0), 0);
        assert_int_equal(n_told, 0);
        assert_int_equal(write(gate[1], "", 1), 1);
        run_loop(event, &n_told, 2);
        (void) fd_close(gate[0]);
        (void) fd_close(gate[1]);
}

static void test_an_end_leaves_nothing_undone(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        Worker *worker = NULL;
        unsigned n_told = 0;
        TestJob job;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(worker_new(event, &worker), 0);
        job = new_job(worker, 0, &n_told);
        job.again = 3;
        worker_add(worker, &job.job);
        (void) worker_free(worker);
        assert_int_equal(n_told, 4);
}

static void test_without_a_worker_who_gives_a_job_does_it(void **state) {
        unsigned n_told = 0;
        TestJob job = new_job(NULL, 0, &n_told);

        worker_add(NULL, &job.job);
        assert_int_equal(n_told, 1);
        assert_true(pthread_equal(job.ran, pthread_self()));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_jobs_are_done_elsewhere_and_told_here_in_their_order),
                cmocka_unit_test(test_a_job_that_waits_keeps_nobody_but_those_behind_it),
                cmocka_unit_test(test_an_end_leaves_nothing_undone),
                cmocka_unit_test(test_without_a_worker_who_gives_a_job_does_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
