/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/suggest.h"

#include <string.h>

#include "base/cleanup.h"

#define WORD_MAX 64u

/*
 * Edits between two words of at most WORD_MAX bytes: a letter more, less or other, or two neighbours swapped, which
 * is the commonest slip of all (Damerau's distance, restricted). Three rows of the table are enough.
 */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len) {
        unsigned rows[3][WORD_MAX + 1];

        for (size_t j = 0; j <= b_len; j++)
                rows[0][j] = (unsigned) j;
        for (size_t i = 1; i <= a_len; i++) {
                unsigned *row = rows[i % 3];
                const unsigned *above = rows[(i + 2) % 3], *swapped = rows[(i + 1) % 3];

                row[0] = (unsigned) i;
                for (size_t j = 1; j <= b_len; j++) {
                        unsigned other = above[j - 1] + (a[i - 1] != b[j - 1]);
                        unsigned shifted = MIN(above[j], row[j - 1]) + 1;

                        row[j] = MIN(shifted, other);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = MIN(row[j], swapped[j - 2] + 1);
                }
        }
        return rows[a_len % 3][b_len];
}

/**
 * suggestion_offer() - keep @candidate if it is nearer to what was typed than the best so far
 * @len:       bytes of @typed
 * @candidate: must outlive @best
 *
 * Near enough is one slip in three letters, so that a short word does not suggest everything.
 */
void suggestion_offer(Suggestion *best, const char *typed, size_t len, const char *candidate) {
        size_t candidate_len = strlen(candidate);
        unsigned distance;

        if (len == 0 || len > WORD_MAX || candidate_len > WORD_MAX)
                return;
        distance = edit_distance(typed, len, candidate, candidate_len);
        if (distance * 3 > MAX(len, (size_t) 3))
                return;
        if (!best->text || distance < best->distance)
                *best = (Suggestion){.text = candidate, .distance = distance};
}
