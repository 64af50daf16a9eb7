/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a guest tells of its payload: assignments as of sd_notify(3), and our X_VIVARIUM_*. The text is hostile. */

#include <stdbool.h>
#include <stddef.h>

#include "base/text_error.h"

#define NOTIFY_BYTES_MAX 4096u /* of one batch, as in systemd */
#define NOTIFY_TEXT_MAX 512u   /* of a status or a message; more is cut off */

/* How far the payload is, in order. */
typedef enum NotifyStage {
        NOTIFY_STAGE_STARTED, /* any batch says that much */
        NOTIFY_STAGE_READY,
        NOTIFY_STAGE_FINISHED,
} NotifyStage;

typedef struct NotifyMessage {
        NotifyStage stage;
        bool names_stage; /* it was said, and not only meant by saying anything at all */
        bool has_exit_status;
        int exit_status; /* 0 to 255 */
        bool has_error;
        int error_code; /* 0 or more */
        /* Raw bytes of the guest without NUL and newline, terminated; "" if there is none. */
        char error_text[NOTIFY_TEXT_MAX + 1];
        bool has_status;
        char status[NOTIFY_TEXT_MAX + 1];
} NotifyMessage;

int notify_message_parse(const char *data, size_t len, NotifyMessage *ret, TextError *reterr);
