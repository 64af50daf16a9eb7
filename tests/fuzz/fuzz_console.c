/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest writes to its console, in pieces of any size: each line that comes of it is fit for a log. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/utf8.h"
#include "service/monitor/line_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Malformed bytes become three each. */
#define TEXT_BYTES_MAX (3u * LINE_LOG_BYTES_MAX)

static bool check_line(void *userdata, LineKind kind, const char *line) {
        size_t *lines = userdata, len = strlen(line);

        assert(kind <= LINE_SUPPRESSED);
        assert(len > 0 && len <= TEXT_BYTES_MAX);
        assert(utf8_valid(line, len));
        for (size_t i = 0; i < len; i++)
                assert((unsigned char) line[i] >= 0x20 || line[i] == '\t');
        assert(!strchr(line, 0x7f));
        (*lines)++;
        return len % 16 != 0; /* now and then the journal is full */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        RateLimit shared = {.interval_usec = 10, .burst = 100};
        size_t lines = 0, step;
        LineLog log;

        if (size == 0)
                return 0;
        step = (size_t) data[0] + 1;
        line_log_init(&log, &shared, check_line, &lines);
        for (size_t i = 1; i < size; i += step)
                line_log_feed(&log, (const char *) data + i, MIN(step, size - i), i);
        line_log_end(&log, size);
        assert(lines <= 2 * size);
        return 0;
}
