/* SPDX-License-Identifier: Apache-2.0 */

/* Runs a fuzz target without libFuzzer: every file of the corpus as it is, then a fixed number of mutations of it. The
 * pseudo-random series starts at the same seed each time, so a failure here is a failure everywhere. The input being run is
 * always in the file named first, so it is there when the target dies.
 *
 * usage: fuzz_NAME KEEP-FILE MUTATIONS CORPUS-FILE... */

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
        INPUT_MAX = 1 << 20,
        EDITS_MAX = 8,
};

/* One file of the corpus. */
typedef struct Seed {
        uint8_t *data; /* owned */
        size_t size;
} Seed;

/* Input under test. */
typedef struct Input {
        uint8_t *data; /* owned, INPUT_MAX bytes */
        size_t size;
} Input;

static uint64_t next_random(uint64_t *state) {
        /* xorshift64*: fast and the same on every machine */
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        return *state * UINT64_C(2685821657736338717);
}

static size_t below(uint64_t *state, size_t bound) {
        return bound == 0 ? 0 : (size_t) (next_random(state) % bound);
}

static void edit_number(Input *input, uint64_t *state) {
        static const uint64_t interesting[] = {
                0,      1,          0x7f,       0x80,       0xff,       0x7fff,   0x8000,
                0xffff, 0x7fffffff, 0x80000000, 0xffffffff, UINT64_MAX, INT64_MAX};
        static const size_t widths[] = {1, 2, 4, 8};
        size_t width = widths[below(state, ELEMENTSOF(widths))];
        uint64_t value = interesting[below(state, ELEMENTSOF(interesting))];

        if (input->size >= width)
                memcpy(input->data + below(state, input->size - width + 1), &value, width);
}

static void edit_insert(Input *input, uint64_t *state) {
        size_t at = below(state, input->size + 1), length = 1 + below(state, 16);

        if (input->size + length > INPUT_MAX)
                return;
        memmove(input->data + at + length, input->data + at, input->size - at);
        for (size_t i = 0; i < length; i++)
                input->data[at + i] = (uint8_t) next_random(state);
        input->size += length;
}

static void edit_remove(Input *input, uint64_t *state) {
        size_t at = below(state, input->size);
        size_t length = below(state, MIN(input->size - at, (size_t) 64) + 1);

        memmove(input->data + at, input->data + at + length, input->size - at - length);
        input->size -= length;
}

static void edit_splice(Input *input, uint64_t *state, const Seed *other) {
        size_t from = below(state, other->size), at = below(state, input->size + 1);
        size_t length = below(state, MIN(other->size - from, INPUT_MAX - at) + 1);

        if (length > 0)
                memcpy(input->data + at, other->data + from, length);
        input->size = MAX(input->size, at + length);
}

static void mutate(Input *input, uint64_t *state, const Seed *seeds, size_t n_seeds) {
        size_t n_edits = 1 + below(state, EDITS_MAX);

        for (size_t i = 0; i < n_edits; i++) {
                switch (next_random(state) % 6) {
                case 0:
                        if (input->size > 0)
                                input->data[below(state, input->size)] ^=
                                        (uint8_t) (1u << below(state, 8));
                        break;
                case 1:
                        edit_number(input, state);
                        break;
                case 2:
                        edit_insert(input, state);
                        break;
                case 3:
                        edit_remove(input, state);
                        break;
                case 4:
                        edit_splice(input, state, &seeds[below(state, n_seeds)]);
                        break;
                default:
                        input->size = below(state, input->size + 1);
                }
        }
}

static int run(int keep_fd, const Input *input) {
        /* A copy of exact size lets AddressSanitizer see a read past the end. */
        _cleanup_(freep) uint8_t *copy = malloc(MAX(input->size, (size_t) 1));

        if (!copy)
                return -ENOMEM;
        if (pwrite(keep_fd, input->data, input->size, 0) != (ssize_t) input->size ||
            ftruncate(keep_fd, (off_t) input->size) < 0)
                return -errno;
        memcpy(copy, input->data, input->size);
        (void) LLVMFuzzerTestOneInput(copy, input->size);
        return 0;
}

static int load(const char *path, Input *input) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;
        input->size = 0;
        while ((n = read(fd, input->data + input->size, INPUT_MAX - input->size)) > 0)
                input->size += (size_t) n;
        return n < 0 ? -errno : 0;
}

static int replay(int keep_fd, char **paths, size_t n_paths, Input *input, Seed *seeds) {
        int r;

        for (size_t i = 0; i < n_paths; i++) {
                r = load(paths[i], input);
                if (r >= 0)
                        r = run(keep_fd, input);
                if (r < 0) {
                        (void) fprintf(stderr, "fuzz: %s: %s\n", paths[i], strerror(-r));
                        return r;
                }
                seeds[i].data = malloc(MAX(input->size, (size_t) 1));
                if (!seeds[i].data)
                        return -ENOMEM;
                memcpy(seeds[i].data, input->data, input->size);
                seeds[i].size = input->size;
        }
        return 0;
}

static int explore(int keep_fd, uint64_t mutations, Input *input, const Seed *seeds,
                   size_t n_seeds) {
        uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
        int r;

        for (uint64_t i = 0; i < mutations; i++) {
                const Seed *seed = &seeds[below(&state, n_seeds)];

                assert(seed->data);
                memcpy(input->data, seed->data, seed->size);
                input->size = seed->size;
                mutate(input, &state, seeds, n_seeds);
                r = run(keep_fd, input);
                if (r < 0)
                        return r;
        }
        return 0;
}

int main(int argc, char **argv) {
        _cleanup_(fd_closep) int keep_fd = -EBADF;
        Input input = {.data = malloc(INPUT_MAX)};
        Seed *seeds = NULL;
        uint64_t mutations;
        size_t n_seeds = argc > 3 ? (size_t) argc - 3 : 0;
        int r = -EINVAL;

        if (n_seeds == 0 || parse_u64(argv[2], &mutations) < 0) {
                (void) fprintf(stderr, "usage: %s KEEP-FILE MUTATIONS CORPUS-FILE...\n", argv[0]);
                free(input.data);
                return EXIT_FAILURE;
        }
        keep_fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        seeds = calloc(n_seeds, sizeof(*seeds));
        if (keep_fd >= 0 && seeds && input.data) {
                r = replay(keep_fd, argv + 3, n_seeds, &input, seeds);
                if (r >= 0)
                        r = explore(keep_fd, mutations, &input, seeds, n_seeds);
        }
        for (size_t i = 0; seeds && i < n_seeds; i++)
                free(seeds[i].data);
        free(seeds);
        free(input.data);
        if (r < 0)
                return EXIT_FAILURE;
        (void) unlink(argv[1]);
        return EXIT_SUCCESS;
}
