/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A thread beside the event loop, for what may have to wait for a disk. Jobs are done one after the other, in the order in
 * which they were given. Each user has as many jobs under way as it has WorkerJobs, so nothing has to be refused or dropped here.
 */

#include <systemd/sd-event.h>

#include <sys/queue.h>

#include "base/cleanup.h"

typedef struct Worker Worker;
typedef struct WorkerJob WorkerJob;

struct WorkerJob {
        /* On the thread: touches nothing but what belongs to the job, and does not log. */
        void (*run)(WorkerJob *job);
        /* On the loop, afterwards; may give a job, this one too. */
        void (*done)(WorkerJob *job);
        TAILQ_ENTRY(WorkerJob) link; /* the worker's from worker_add() to done() */
};

int worker_new(sd_event *event, Worker **ret);
Worker *worker_free(Worker *worker);
DEFINE_CLEANUP(Worker *, worker_free)

void worker_add(Worker *worker, WorkerJob *job);
