/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/swap/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "vmm/jail/jail.h"

#define STACK_BYTES (128u * 1024u)

struct Swap {
        SwapConfig config;
        Uffd *uffd;       /* owned */
        SwapStore *store; /* owned */
        int wake_fd;      /* owned eventfd: there is a command, or an end */
        pthread_t thread;
        bool started;

        SwapEngine engine; /* this and the next two are the thread's */
        bool enabling;     /* the end of it has not been told */
        int failure;       /* of the last command or step */

        pthread_mutex_t lock; /* covers all below */
        pthread_cond_t changed;
        bool has_command, stop, ready;
        SwapCommand command;
        int role_result; /* valid when @ready */
        unsigned n_holds;
        bool stepping; /* pages are being moved away */
        SwapStatus status;
};

/* ---- the thread ---- */

/* Lock held. */
static void publish(Swap *swap) {
        const SwapEngine *engine = &swap->engine;

        swap->status.state = engine->state;
        swap->status.moving = engine->moving;
        swap->status.transition = engine->transition;
        swap->status.counts = engine->counts;
}

/* A page that cannot be given back leaves whoever waits for it, which may be any thread, waiting for ever. */
static void give_up(int r) {
        log_error("--swap: a page of guest memory cannot be brought back: %s; the VM cannot go on",
                  strerror(-r));
        (void) raise(SIGABRT);
}

static void begin(Swap *swap, SwapCommand command) {
        swap->failure = swap_engine_command(&swap->engine, command);
        if (swap->failure < 0)
                log_error("--swap: cannot begin: %s", strerror(-swap->failure));
        if (command == SWAP_ENABLE)
                swap->enabling = true;
}

/* Begins with what was asked for, if anything was; until then nothing else is. Return: whether it was. */
static bool obey(Swap *swap) {
        SwapCommand command;
        bool came;

        pthread_mutex_lock(&swap->lock);
        came = swap->has_command;
        command = swap->command;
        publish(swap);
        pthread_mutex_unlock(&swap->lock);
        if (!came)
                return false;
        begin(swap, command);
        pthread_mutex_lock(&swap->lock);
        swap->has_command = false;
        publish(swap);
        pthread_mutex_unlock(&swap->lock);
        return true;
}

/* Return: false when there is nothing to do, or it must wait because memory is held. */
static bool step(Swap *swap) {
        bool may;

        pthread_mutex_lock(&swap->lock);
        may = swap_engine_has_work(&swap->engine) && (!swap->engine.moving || swap->n_holds == 0);
        swap->stepping = may && swap->engine.moving;
        pthread_mutex_unlock(&swap->lock);
        if (!may)
                return false;

        swap->failure = swap_engine_step(&swap->engine);
        if (swap->failure < 0)
                log_error(
                        "--swap: moving guest memory failed: %s; what was moved stays where it is",
                        strerror(-swap->failure));
        pthread_mutex_lock(&swap->lock);
        swap->stepping = false;
        publish(swap);
        pthread_cond_broadcast(&swap->changed);
        pthread_mutex_unlock(&swap->lock);
        return true;
}

static void tell(Swap *swap) {
        int r = swap->failure;

        if (!swap->enabling || swap->engine.moving)
                return;
        swap->enabling = false;
        if (r == 0 && swap->engine.state != SWAP_PENDING)
                r = -ECANCELED;
        swap->config.moved(swap->config.userdata, r);
}

static void wait_for_something(Swap *swap) {
        struct pollfd fds[] = {
                {.fd = uffd_fd(swap->uffd), .events = POLLIN},
                {.fd = swap->wake_fd, .events = POLLIN},
        };
        uint64_t now = clock_monotonic_nsec(), due = swap->engine.clean_due_nsec;
        int timeout_ms = -1;
        eventfd_t n;

        if (swap->engine.cleaning)
                timeout_ms = due > now ? (int) ((due - now) / (NSEC_PER_SEC / 1000) + 1) : 0;
        if (poll(fds, ELEMENTSOF(fds), timeout_ms) > 0 && fds[1].revents)
                (void) eventfd_read(swap->wake_fd, &n);
}

static bool is_stopped(Swap *swap) {
        bool stop;

        pthread_mutex_lock(&swap->lock);
        stop = swap->stop;
        pthread_mutex_unlock(&swap->lock);
        return stop;
}

static void run(Swap *swap) {
        while (!is_stopped(swap)) {
                bool busy;
                int r = swap_engine_serve(&swap->engine);

                if (r < 0)
                        give_up(r);
                busy = r > 0;
                busy |= obey(swap);
                busy |= step(swap);
                swap_engine_clean(&swap->engine, clock_monotonic_nsec());
                tell(swap);
                if (!busy)
                        wait_for_something(swap);
        }
}

static void *swap_main(void *userdata) {
        Swap *swap = userdata;
        int r;

        (void) pthread_setname_np(pthread_self(), "swap");
        r = jail_enter_role(JAIL_SWAP);
        pthread_mutex_lock(&swap->lock);
        swap->role_result = r;
        swap->ready = true;
        pthread_cond_broadcast(&swap->changed);
        pthread_mutex_unlock(&swap->lock);
        if (r == 0)
                run(swap);
        return NULL;
}

/* ---- other threads ---- */

static void forget(void *userdata, uint64_t offset, uint64_t len) {
        const Swap *swap = userdata;

        swap_store_forget(swap->store, offset, len);
}

static bool next_away(void *userdata, uint64_t offset, uint64_t *ret_from, uint64_t *ret_to) {
        const Swap *swap = userdata;

        return swap_store_next_away(swap->store, offset, ret_from, ret_to);
}

static int open_file(const char *directory, TextError *reterr) {
        int fd = open(directory, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0)
                return fd;
        return text_error_set(reterr, -errno, "%s: cannot make an unnamed file there: %s",
                              directory, strerror(errno));
}

static int open_all(Swap *swap, const SwapConfig *config, TextError *reterr) {
        _cleanup_(fd_closep) int file_fd = open_file(config->directory, reterr);
        GuestMem *mem = config->mem;
        int r;

        if (file_fd < 0)
                return file_fd;
        r = uffd_new(mem->base, mem->size_bytes, &swap->uffd, reterr);
        if (r < 0)
                return r;
        swap->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (swap->wake_fd < 0)
                return -errno;
        r = swap_store_new_consume(mem->fd, mem->size_bytes, TAKE_FD(file_fd), &swap->store);
        if (r < 0)
                return r;
        swap->engine = (SwapEngine){
                .ops = &uffd_ops, .faults = swap->uffd, .store = swap->store, .state = SWAP_READY};
        return 0;
}

/**
 * swap_new() - open what swapping takes; before the sandbox
 * @ret: set on success only; release with swap_free()
 *
 * Return: 0; negative errno with a sentence.
 */
int swap_new(const SwapConfig *config, Swap **ret, TextError *reterr) {
        _cleanup_(swap_freep) Swap *swap = calloc(1, sizeof(*swap));
        int r;

        if (!swap)
                return -ENOMEM;
        swap->config = *config;
        swap->wake_fd = -EBADF;
        pthread_mutex_init(&swap->lock, NULL);
        pthread_cond_init(&swap->changed, NULL);
        r = open_all(swap, config, reterr);
        if (r < 0)
                return r;
        guest_mem_set_mover(
                config->mem,
                &(GuestMemMover){.forget = forget, .next_away = next_away, .userdata = swap});
        *ret = TAKE(swap);
        return 0;
}

/**
 * swap_start() - make the thread, with its own filter; before the caller takes one that is narrower
 *
 * Return: 0 or negative errno.
 */
int swap_start(Swap *swap) {
        pthread_attr_t attributes;
        sigset_t all, before;
        int r;

        sigfillset(&all);
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = -pthread_create(&swap->thread, &attributes, swap_main, swap);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        if (r < 0)
                return r;
        swap->started = true;
        pthread_mutex_lock(&swap->lock);
        while (!swap->ready)
                pthread_cond_wait(&swap->changed, &swap->lock);
        r = swap->role_result;
        pthread_mutex_unlock(&swap->lock);
        return r;
}

/** swap_free() - end the thread; what is away is lost: nobody needs guest memory any more. Return: NULL. */
Swap *swap_free(Swap *swap) {
        if (!swap)
                return NULL;
        if (swap->started) {
                pthread_mutex_lock(&swap->lock);
                swap->stop = true;
                pthread_mutex_unlock(&swap->lock);
                (void) eventfd_write(swap->wake_fd, 1);
                (void) pthread_join(swap->thread, NULL);
        }
        guest_mem_set_mover(swap->config.mem, &(GuestMemMover){0});
        (void) uffd_free(swap->uffd);
        (void) swap_store_free(swap->store);
        (void) fd_close(swap->wake_fd);
        pthread_cond_destroy(&swap->changed);
        pthread_mutex_destroy(&swap->lock);
        free(swap);
        return NULL;
}

/**
 * swap_command() - have @command begun; one thread
 *
 * Does not wait. Return: 0; -EBUSY when it makes no sense in this state.
 */
int swap_command(Swap *swap, SwapCommand command) {
        const SwapStatus *status = &swap->status;
        int r = -EBUSY;

        pthread_mutex_lock(&swap->lock);
        if (!swap->has_command && swap_engine_takes(status->state, status->moving, command)) {
                swap->command = command;
                swap->has_command = true;
                r = 0;
        }
        pthread_mutex_unlock(&swap->lock);
        if (r == 0)
                (void) eventfd_write(swap->wake_fd, 1);
        return r;
}

/** swap_status() - what is where; any thread */
void swap_status(Swap *swap, SwapStatus *ret) {
        pthread_mutex_lock(&swap->lock);
        *ret = swap->status;
        pthread_mutex_unlock(&swap->lock);
        ret->resident = swap_store_resident(swap->store);
        ret->staged = swap_store_staged(swap->store);
        ret->filed = swap_store_filed(swap->store);
}

/** swap_hold() - nothing is moved away when it returns, until as many swap_release(): who reads all of memory wants that */
void swap_hold(Swap *swap) {
        pthread_mutex_lock(&swap->lock);
        swap->n_holds++;
        while (swap->stepping)
                pthread_cond_wait(&swap->changed, &swap->lock);
        pthread_mutex_unlock(&swap->lock);
}

/** swap_release() - undo one swap_hold() */
void swap_release(Swap *swap) {
        pthread_mutex_lock(&swap->lock);
        swap->n_holds--;
        pthread_mutex_unlock(&swap->lock);
        (void) eventfd_write(swap->wake_fd, 1);
}
