/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/swap/engine.h"

#include <errno.h>

#include "base/clock.h"

#define STEP_PAGES 512u /* between two looks at who waits */
#define SERVED_MAX 64u  /* before the work goes on */
#define CLEAN_BYTES (UINT64_C(64) << 20)
#define CLEAN_NSEC (5 * NSEC_PER_SEC)

/** swap_engine_takes() - whether @command makes sense in @state; @moving: SwapEngine.moving */
bool swap_engine_takes(SwapState state, bool moving, SwapCommand command) {
        switch (command) {
        case SWAP_ENABLE:
        case SWAP_DISABLE:
        case SWAP_DISABLE_SLOWLY:
                return true;
        case SWAP_TRIM:
        case SWAP_OUT:
                return state == SWAP_PENDING && !moving;
        }
        return false;
}

static void begin(SwapEngine *engine, SwapState state) {
        engine->state = state;
        engine->moving = state == SWAP_PENDING;
        engine->at = 0;
        engine->started_nsec = clock_monotonic_nsec();
        engine->transition = (SwapTransition){0};
}

static void fail(SwapEngine *engine) {
        engine->state = SWAP_FAILED;
        engine->moving = false;
        engine->transition = (SwapTransition){0};
}

static int enable(SwapEngine *engine) {
        int r;

        if (!engine->following) {
                r = engine->ops->follow(engine->faults, true);
                if (r < 0)
                        return r;
                engine->following = true;
                engine->cleaning = false;
                engine->counts = (SwapFaultCounts){0};
        }
        begin(engine, SWAP_PENDING);
        return 0;
}

static void disable(SwapEngine *engine, bool slowly) {
        if (engine->state == SWAP_READY) {
                if (!slowly && engine->cleaning)
                        engine->cleaning = swap_store_shrink_file(engine->store, UINT64_MAX);
                return;
        }
        engine->slow_cleanup = slowly;
        if (engine->state != SWAP_IN_IN_PROGRESS)
                begin(engine, SWAP_IN_IN_PROGRESS);
}

/**
 * swap_engine_command() - begin with what @command asks, in place of what is under way
 *
 * Return: 0; -EBUSY when swap_engine_takes() says no; other negative errno, and nothing has changed.
 */
int swap_engine_command(SwapEngine *engine, SwapCommand command) {
        if (!swap_engine_takes(engine->state, engine->moving, command))
                return -EBUSY;
        switch (command) {
        case SWAP_ENABLE:
                return enable(engine);
        case SWAP_TRIM:
                begin(engine, SWAP_TRIM_IN_PROGRESS);
                break;
        case SWAP_OUT:
                begin(engine, SWAP_OUT_IN_PROGRESS);
                break;
        case SWAP_DISABLE:
        case SWAP_DISABLE_SLOWLY:
                disable(engine, command == SWAP_DISABLE_SLOWLY);
                break;
        }
        return 0;
}

/** swap_engine_has_work() - whether swap_engine_step() has something to do */
bool swap_engine_has_work(const SwapEngine *engine) {
        switch (engine->state) {
        case SWAP_PENDING:
                return engine->moving;
        case SWAP_TRIM_IN_PROGRESS:
        case SWAP_OUT_IN_PROGRESS:
        case SWAP_IN_IN_PROGRESS:
                return true;
        case SWAP_READY:
        case SWAP_FAILED:
        case SWAP_ACTIVE:
                return false;
        }
        return false;
}

/* ---- pages for the guest ---- */

/* The pages are there, and whoever waits for them goes on. */
static int let_go(SwapEngine *engine, uint64_t page, uint64_t n) {
        return engine->ops->protect(engine->faults, page * SWAP_PAGE_SIZE, n * SWAP_PAGE_SIZE,
                                    false);
}

/* @ret_n: how many of the pages are there, on failure too */
static int place_all(SwapEngine *engine, uint64_t page, const uint8_t *bytes, uint64_t n,
                     uint64_t *ret_n) {
        const uint64_t len = n * SWAP_PAGE_SIZE;
        uint64_t done = 0, step = 0;
        int r = 0;

        while (r == 0 && done < len) {
                r = engine->ops->place(engine->faults, page * SWAP_PAGE_SIZE + done, bytes + done,
                                       len - done, &step);
                done += step;
                if (r == -EEXIST) {
                        engine->counts.redundant++;
                        done += SWAP_PAGE_SIZE;
                }
                if (r == -EEXIST || r == -EAGAIN)
                        r = 0;
        }
        *ret_n = done / SWAP_PAGE_SIZE;
        return r;
}

/*
 * Gives the guest back up to @max pages from @page on.
 *
 * @ret_n:    how many were away, all at one place; 0: @page is not
 * @ret_from: which place that was
 */
static int give_back(SwapEngine *engine, uint64_t page, uint64_t max, uint64_t *ret_n,
                     SwapPlace *ret_from) {
        const uint8_t *bytes = NULL;
        uint64_t n = 0;
        int r, l;

        r = swap_store_fetch(engine->store, page, max, &bytes, ret_n, ret_from);
        if (r < 0 || *ret_n == 0)
                return r;
        r = place_all(engine, page, bytes, *ret_n, &n);
        swap_store_arrived(engine->store, page, n);
        swap_store_turn_back(engine->store, page + n, *ret_n - n, *ret_from);
        l = n > 0 ? let_go(engine, page, n) : 0;
        return r < 0 ? r : l;
}

static int make_zero(SwapEngine *engine, uint64_t page) {
        int r;

        do
                r = engine->ops->zero(engine->faults, page * SWAP_PAGE_SIZE);
        while (r == -EAGAIN);
        if (r == 0)
                engine->counts.zeroed++;
        if (r != -EEXIST)
                return r;
        /* It is there: somebody else had waited for it too, or wanted to write while it was about to be moved. */
        engine->counts.redundant++;
        return let_go(engine, page, 1);
}

static int serve(SwapEngine *engine, uint64_t page) {
        SwapPlace from = SWAP_GUEST;
        uint64_t n = 0;
        int r = give_back(engine, page, 1, &n, &from);

        if (r < 0)
                return r;
        if (n == 0)
                return make_zero(engine, page);
        if (from == SWAP_FILED)
                engine->counts.from_file++;
        else
                engine->counts.from_staging++;
        return 0;
}

/**
 * swap_engine_serve() - give the guest the pages that are waited for
 *
 * Return: 0; 1 when there may be more; negative errno when a page cannot be given: whoever waits for it can never go on.
 */
int swap_engine_serve(SwapEngine *engine) {
        for (unsigned i = 0; i < SERVED_MAX; i++) {
                uint64_t offset;
                int r = engine->ops->next(engine->faults, &offset);

                if (r <= 0)
                        return r;
                /* What is left from before it was followed no longer waits. */
                r = engine->following ? serve(engine, offset / SWAP_PAGE_SIZE) : 0;
                if (r < 0)
                        return r;
        }
        return 1;
}

/* ---- work ---- */

/* The guest runs on meanwhile: who writes to a page of this step waits, and finds it away. */
static int move_step(SwapEngine *engine, uint64_t n) {
        const uint64_t offset = engine->at * SWAP_PAGE_SIZE, len = n * SWAP_PAGE_SIZE;
        int r = engine->ops->protect(engine->faults, offset, len, true), u;

        if (r == 0)
                r = swap_store_stage(engine->store, engine->at, n, &engine->transition.pages);
        u = engine->ops->protect(engine->faults, offset, len, false);
        return r < 0 ? r : u;
}

static int bring_step(SwapEngine *engine, uint64_t n) {
        const uint64_t end = engine->at + n;

        for (uint64_t page = engine->at; page < end;) {
                SwapPlace from;
                uint64_t got = 0;
                int r = give_back(engine, page, end - page, &got, &from);

                if (r < 0)
                        return r;
                engine->transition.pages += got;
                page += MAX(got, 1u);
        }
        return 0;
}

static int end_disable(SwapEngine *engine) {
        int r = engine->ops->follow(engine->faults, false);

        if (r < 0)
                return r;
        engine->following = false;
        engine->state = SWAP_READY;
        swap_store_reset(engine->store);
        engine->clean_due_nsec = 0;
        engine->cleaning = swap_store_shrink_file(engine->store,
                                                  engine->slow_cleanup ? CLEAN_BYTES : UINT64_MAX);
        if (engine->cleaning)
                engine->clean_due_nsec = clock_monotonic_nsec() + CLEAN_NSEC;
        return 0;
}

static int end(SwapEngine *engine) {
        switch (engine->state) {
        case SWAP_PENDING:
                engine->moving = false;
                break;
        case SWAP_TRIM_IN_PROGRESS:
                engine->state = SWAP_PENDING;
                break;
        case SWAP_OUT_IN_PROGRESS:
                engine->state = SWAP_ACTIVE;
                break;
        case SWAP_IN_IN_PROGRESS:
                return end_disable(engine);
        case SWAP_READY:
        case SWAP_FAILED:
        case SWAP_ACTIVE:
                break;
        }
        return 0;
}

static int work(SwapEngine *engine, uint64_t n) {
        switch (engine->state) {
        case SWAP_PENDING:
                return move_step(engine, n);
        case SWAP_TRIM_IN_PROGRESS:
                return swap_store_trim(engine->store, engine->at, n, &engine->transition.pages);
        case SWAP_OUT_IN_PROGRESS:
                return swap_store_write_out(engine->store, engine->at, n,
                                            &engine->transition.pages);
        case SWAP_IN_IN_PROGRESS:
                return bring_step(engine, n);
        case SWAP_READY:
        case SWAP_FAILED:
        case SWAP_ACTIVE:
                break;
        }
        return 0;
}

/**
 * swap_engine_step() - do a part of the work that swap_engine_has_work() says there is
 *
 * A failure ends it in SWAP_FAILED: pages stay where they are, and the guest can have each of them.
 *
 * Return: 0; negative errno of the failure.
 */
int swap_engine_step(SwapEngine *engine) {
        const uint64_t n = MIN(STEP_PAGES, swap_store_pages(engine->store) - engine->at);
        int r = work(engine, n);

        engine->at += n;
        if (r == 0 && engine->at == swap_store_pages(engine->store))
                r = end(engine);
        engine->transition.nsec = clock_monotonic_nsec() - engine->started_nsec;
        if (r < 0)
                fail(engine);
        return r;
}

/** swap_engine_clean() - after SWAP_DISABLE_SLOWLY: give back the next part of the file, if it is time */
void swap_engine_clean(SwapEngine *engine, uint64_t now_nsec) {
        if (!engine->cleaning || now_nsec < engine->clean_due_nsec)
                return;
        engine->clean_due_nsec = now_nsec + CLEAN_NSEC;
        engine->cleaning = swap_store_shrink_file(engine->store, CLEAN_BYTES);
}
