/* SPDX-License-Identifier: Apache-2.0 */
#include "service/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"

/* Jobs write and rename files; what is large of theirs is not on the stack. */
#define STACK_BYTES ((size_t) 256 * 1024)

typedef TAILQ_HEAD(JobList, WorkerJob) JobList;

struct Worker {
        pthread_t thread;
        pthread_mutex_t mutex; /* of what follows, down to the blank line */
        pthread_cond_t wake;
        JobList todo, done;
        bool stopping;

        int bell;                /* owned eventfd: some are done */
        sd_event_source *source; /* owned */
};

static void *work(void *userdata) {
        Worker *worker = userdata;
        WorkerJob *job;

        (void) pthread_mutex_lock(&worker->mutex);
        for (;;) {
                while (!(job = TAILQ_FIRST(&worker->todo)) && !worker->stopping)
                        (void) pthread_cond_wait(&worker->wake, &worker->mutex);
                if (!job)
                        break;
                TAILQ_REMOVE(&worker->todo, job, link);
                (void) pthread_mutex_unlock(&worker->mutex);
                job->run(job);
                (void) pthread_mutex_lock(&worker->mutex);
                TAILQ_INSERT_TAIL(&worker->done, job, link);
                (void) eventfd_write(worker->bell, 1);
        }
        (void) pthread_mutex_unlock(&worker->mutex);
        return NULL;
}

static WorkerJob *take_done(Worker *worker) {
        WorkerJob *job;

        (void) pthread_mutex_lock(&worker->mutex);
        job = TAILQ_FIRST(&worker->done);
        if (job)
                TAILQ_REMOVE(&worker->done, job, link);
        (void) pthread_mutex_unlock(&worker->mutex);
        return job;
}

static int on_bell(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Worker *worker = userdata;
        WorkerJob *job;
        eventfd_t n;

        (void) eventfd_read(fd, &n);
        while ((job = take_done(worker)))
                job->done(job);
        return 0;
}

/* Signals are the loop's. */
static int start_thread(Worker *worker) {
        pthread_attr_t attr;
        sigset_t all, before;
        int r;

        r = pthread_attr_init(&attr);
        if (r != 0)
                return -r;
        r = pthread_attr_setstacksize(&attr, STACK_BYTES);
        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        if (r == 0)
                r = pthread_create(&worker->thread, &attr, work, worker);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void) pthread_attr_destroy(&attr);
        return -r;
}

/**
 * worker_new() - start the thread
 * @event: on whose loop jobs are told to be done
 *
 * Return: 0 or negative errno.
 */
int worker_new(sd_event *event, Worker **ret) {
        Worker *worker = calloc(1, sizeof(*worker));
        int r;

        if (!worker)
                return -ENOMEM;
        TAILQ_INIT(&worker->todo);
        TAILQ_INIT(&worker->done);
        (void) pthread_mutex_init(&worker->mutex, NULL);
        (void) pthread_cond_init(&worker->wake, NULL);
        worker->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = worker->bell < 0 ? -errno : 0;
        if (r == 0)
                r = sd_event_add_io(event, &worker->source, worker->bell, EPOLLIN, on_bell, worker);
        if (r >= 0)
                r = start_thread(worker);
        if (r < 0) {
                worker->source = sd_event_source_disable_unref(worker->source);
                (void) fd_close(worker->bell);
                free(worker);
                return r;
        }
        *ret = worker;
        return 0;
}

/**
 * worker_add() - have @job, which is not under way, done after those that are; never fails
 * @worker: NULL to wait for it here, and be told
 */
void worker_add(Worker *worker, WorkerJob *job) {
        if (!worker) {
                job->run(job);
                job->done(job);
                return;
        }
        (void) pthread_mutex_lock(&worker->mutex);
        TAILQ_INSERT_TAIL(&worker->todo, job, link);
        (void) pthread_cond_signal(&worker->wake);
        (void) pthread_mutex_unlock(&worker->mutex);
}

/* The thread has ended, and with it all jobs that it was given; being told of one may bring another. */
static void finish(Worker *worker) {
        WorkerJob *job;

        for (;;) {
                job = take_done(worker);
                if (!job) {
                        job = TAILQ_FIRST(&worker->todo);
                        if (!job)
                                break;
                        TAILQ_REMOVE(&worker->todo, job, link);
                        job->run(job);
                }
                job->done(job);
        }
}

/** worker_free() - wait until all jobs are done, and told to be. Return: NULL. */
Worker *worker_free(Worker *worker) {
        if (!worker)
                return NULL;
        (void) pthread_mutex_lock(&worker->mutex);
        worker->stopping = true;
        (void) pthread_cond_signal(&worker->wake);
        (void) pthread_mutex_unlock(&worker->mutex);
        (void) pthread_join(worker->thread, NULL);
        finish(worker);
        (void) sd_event_source_disable_unref(worker->source);
        (void) fd_close(worker->bell);
        (void) pthread_cond_destroy(&worker->wake);
        (void) pthread_mutex_destroy(&worker->mutex);
        free(worker);
        return NULL;
}
