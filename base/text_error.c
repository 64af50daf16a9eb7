/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/**
 * text_error_set() - record the sentence for a failure; the first one set is kept
 * @error:  may be NULL when the caller does not want text
 * @r:      the negative errno that is being returned
 *
 * Return: @r, so that `return text_error_set(reterr, -EINVAL, …)` reads as one act.
 */
int text_error_set(TextError *error, int r, const char *format, ...) {
        va_list ap;

        if (!error || error->message)
                return r;
        va_start(ap, format);
        if (vasprintf(&error->message, format, ap) < 0)
                error->message = NULL;
        va_end(ap);
        return r;
}

/**
 * text_error_prefix() - put "context: " before the sentence, or before strerror(@r) when none is set
 *
 * Return: @r.
 */
int text_error_prefix(TextError *error, int r, const char *format, ...) {
        _cleanup_(freep) char *context = NULL;
        char *joined;
        va_list ap;
        int n;

        if (!error)
                return r;
        va_start(ap, format);
        n = vasprintf(&context, format, ap);
        va_end(ap);
        if (n < 0) {
                context = NULL;
                return r;
        }
        if (asprintf(&joined, "%s: %s", context, text_error_message(error, r)) < 0)
                return r;
        free(error->message);
        error->message = joined;
        return r;
}

/** text_error_message() - the sentence, or the system's text for @r; borrowed */
const char *text_error_message(const TextError *error, int r) {
        return error && error->message ? error->message : strerror(-r);
}

/** text_error_deinit() - release the sentence; @error is unset again */
void text_error_deinit(TextError *error) {
        free(error->message);
        error->message = NULL;
}
