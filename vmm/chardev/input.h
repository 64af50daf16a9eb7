/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The host side of a character device's input: reads in the loop as fast as the frontend takes it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include "vmm/chardev/char.h"
#include "vmm/chardev/host_fd.h"
#include "vmm/event/loop.h"

#define CHAR_INPUT_SIZE 512u

/* Touched on the loop's thread only, but for char_input_resume(). */
typedef struct CharInput {
        HostFd host;
        LoopSource *source; /* owned; NULL for files that are always ready, and after the end */
        LoopSource *timer;  /* owned; how another thread, or we ourselves, start the next turn */
        CharHandler handler;
        bool ended;
        size_t start, len; /* of what was read and not yet taken */
        uint8_t data[CHAR_INPUT_SIZE];
        bool raw; /* @saved is to be put back */
        struct termios saved;
} CharInput;

int char_input_init_consume(CharInput *input, Loop *loop, int fd);
void char_input_deinit(CharInput *input);
void char_input_set_handler(CharInput *input, const CharHandler *handler);
void char_input_resume(CharInput *input);
