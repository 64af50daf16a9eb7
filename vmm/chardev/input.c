/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/chardev/input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/*
 * One turn reads a buffer full at most and offers it. What the frontend leaves is kept and nothing more is read until
 * it says that it has room. EPOLLONESHOT, because a hung-up descriptor is reported even when nothing is waited for.
 */

#define INPUT_WAITING ((uint32_t) (EPOLLIN | EPOLLONESHOT))

/* Offers what is in the buffer. Return: whether all of it was taken. */
static bool input_offer(CharInput *input) {
        size_t taken = input->len;

        if (input->len == 0)
                return true;
        if (input->handler.receive)
                taken = input->handler.receive(input->handler.frontend, input->data + input->start,
                                               input->len);
        input->start += MIN(taken, input->len);
        input->len -= MIN(taken, input->len);
        return input->len == 0;
}

static void input_end(CharInput *input) {
        input->ended = true;
        input->source = loop_remove(input->source);
}

/* Waits for more: from the loop where it can, else by another turn of our own. */
static void input_wait(CharInput *input) {
        if (input->source)
                (void) loop_set_events(input->source, INPUT_WAITING);
        else
                char_input_resume(input);
}

static void input_turn(CharInput *input) {
        ssize_t n;

        if (!input_offer(input))
                return; /* until char_input_resume() */
        if (input->ended)
                return;
        n = host_fd_read(&input->host, input->data, sizeof(input->data));
        if (n == -EAGAIN) {
                input_wait(input);
                return;
        }
        if (n <= 0) {
                input_end(input);
                return;
        }
        input->start = 0;
        input->len = (size_t) n;
        if (input_offer(input))
                input_wait(input);
}

static void input_ready(void *userdata, int fd, uint32_t events) {
        input_turn(userdata);
}

static void input_resumed(void *userdata) {
        input_turn(userdata);
}

/* Keys go to the guest as they are typed, Ctrl-C among them. */
static void input_make_raw(CharInput *input) {
        struct termios raw;

        if (!isatty(input->host.fd) || tcgetattr(input->host.fd, &input->saved) < 0)
                return;
        raw = input->saved;
        raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO | ISIG | IEXTEN);
        raw.c_iflag &= ~(tcflag_t) (ICRNL | IXON);
        input->raw = tcsetattr(input->host.fd, TCSANOW, &raw) == 0;
}

/**
 * char_input_init_consume() - read from @fd once the loop runs
 * @input: zero-initialised
 * @fd:    consumed on success and failure
 *
 * Return: 0 or negative errno; on failure @input needs no deinit.
 */
int char_input_init_consume(CharInput *input, Loop *loop, int fd) {
        int r;

        r = host_fd_init_consume(&input->host, fd, O_RDONLY);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, input_resumed, input, &input->timer);
        if (r < 0)
                goto fail;
        r = loop_add_fd(loop, input->host.fd, INPUT_WAITING, input_ready, input, &input->source);
        if (r == -EPERM) {
                char_input_resume(input); /* a regular file: always ready */
                r = 0;
        }
        if (r < 0)
                goto fail;
        input_make_raw(input);
        return 0;
fail:
        char_input_deinit(input);
        return r;
}

/** char_input_deinit() - release, and put a terminal back into the mode that it was found in */
void char_input_deinit(CharInput *input) {
        if (input->raw)
                (void) tcsetattr(input->host.fd, TCSANOW, &input->saved);
        input->timer = loop_remove(input->timer);
        input->source = loop_remove(input->source);
        host_fd_deinit(&input->host);
}

/** char_input_set_handler() - who gets the input; before the loop runs */
void char_input_set_handler(CharInput *input, const CharHandler *handler) {
        input->handler = *handler;
}

/** char_input_resume() - take another turn soon, because the frontend has room; any thread */
void char_input_resume(CharInput *input) {
        (void) loop_set_timer(input->timer, 1); /* long past: at once */
}
