/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/notify_message.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define EXIT_STATUS_MAX 255u

static void copy_text(char *to, const char *text) {
        size_t n = strnlen(text, NOTIFY_TEXT_MAX);

        memcpy(to, text, n);
        to[n] = '\0';
}

static void reach(NotifyMessage *message, NotifyStage stage) {
        message->stage = MAX(message->stage, stage);
        message->names_stage = true;
}

static int read_ready(const char *value, NotifyMessage *message, TextError *reterr) {
        if (!str_eq(value, "1"))
                return text_error_set(reterr, -EBADMSG, "READY: expected 1");
        reach(message, NOTIFY_STAGE_READY);
        return 0;
}

static int read_exit_status(const char *value, NotifyMessage *message, TextError *reterr) {
        uint32_t status;

        if (parse_u32(value, &status) < 0 || status > EXIT_STATUS_MAX)
                return text_error_set(reterr, -EBADMSG, "EXIT_STATUS: expected 0 to %u",
                                      EXIT_STATUS_MAX);
        message->has_exit_status = true;
        message->exit_status = (int) status;
        reach(message, NOTIFY_STAGE_FINISHED);
        return 0;
}

static int read_status(const char *value, NotifyMessage *message, TextError *reterr) {
        message->has_status = true;
        copy_text(message->status, value);
        return 0;
}

static int read_state(const char *value, NotifyMessage *message, TextError *reterr) {
        static const char *const names[] = {
                [NOTIFY_STAGE_STARTED] = "started",
                [NOTIFY_STAGE_READY] = "ready",
                [NOTIFY_STAGE_FINISHED] = "finished",
        };

        for (unsigned i = 0; i < ELEMENTSOF(names); i++)
                if (str_eq(names[i], value)) {
                        reach(message, (NotifyStage) i);
                        return 0;
                }
        return text_error_set(reterr, -EBADMSG,
                              "X_VIVARIUM_STATE: expected started, ready or finished");
}

/* "CODE" or "CODE MESSAGE". */
static int read_error(const char *value, NotifyMessage *message, TextError *reterr) {
        size_t digits = strcspn(value, " ");
        char number[12];
        uint32_t code;

        if (digits >= sizeof(number))
                digits = 0;
        memcpy(number, value, digits);
        number[digits] = '\0';
        if (parse_u32(number, &code) < 0 || code > INT_MAX)
                return text_error_set(reterr, -EBADMSG,
                                      "X_VIVARIUM_ERROR: expected a number and a message");
        message->has_error = true;
        message->error_code = (int) code;
        copy_text(message->error_text, value + digits + (value[digits] == ' '));
        reach(message, NOTIFY_STAGE_FINISHED);
        return 0;
}

static int read_line(const char *line, NotifyMessage *message, TextError *reterr) {
        static const struct {
                const char *prefix;
                int (*read)(const char *value, NotifyMessage *message, TextError *reterr);
        } keys[] = {
                {"READY=", read_ready},
                {"EXIT_STATUS=", read_exit_status},
                {"STATUS=", read_status},
                {"X_VIVARIUM_STATE=", read_state},
                {"X_VIVARIUM_ERROR=", read_error},
        };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                const char *value = str_after_prefix(line, keys[i].prefix);

                if (value)
                        return keys[i].read(value, message, reterr);
        }
        return 0; /* systemd says much that is of no use here */
}

/**
 * notify_message_parse() - one batch of assignments, a line each
 * @data: as it came
 * @ret:  set on success only
 *
 * Keys that are not known are passed over; of a key that comes twice the last one counts, but a stage that was reached
 * stays reached. Return: 0; -EBADMSG with a sentence when the batch is too long, holds a NUL or a value that is none,
 * in which case nothing of it counts.
 */
int notify_message_parse(const char *data, size_t len, NotifyMessage *ret, TextError *reterr) {
        NotifyMessage message = {.stage = NOTIFY_STAGE_STARTED};
        char text[NOTIFY_BYTES_MAX + 1];
        char *state = NULL;

        if (len > NOTIFY_BYTES_MAX)
                return text_error_set(reterr, -EBADMSG, "more than %u bytes", NOTIFY_BYTES_MAX);
        if (len > 0 && memchr(data, '\0', len))
                return text_error_set(reterr, -EBADMSG, "a NUL");
        if (len > 0)
                memcpy(text, data, len);
        text[len] = '\0';
        for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
                int r = read_line(line, &message, reterr);

                if (r < 0)
                        return r;
        }
        *ret = message;
        return 0;
}
