/* SPDX-License-Identifier: Apache-2.0 */
#include "service/text.h"

#include <stdbool.h>

#include "base/str.h"

/* Length of the well-formed sequence at @p (at most @len bytes), 0 if it is malformed. Overlong forms and surrogates
 * are malformed, as Unicode's table 3-7 has it. */
static size_t sequence_length(const unsigned char *p, size_t len) {
        unsigned char low = 0x80, high = 0xbf;
        size_t n;

        if (p[0] < 0x80)
                return 1;
        if (p[0] >= 0xc2 && p[0] <= 0xdf)
                n = 2;
        else if ((p[0] & 0xf0) == 0xe0)
                n = 3;
        else if (p[0] >= 0xf0 && p[0] <= 0xf4)
                n = 4;
        else
                return 0;
        if (n > len)
                return 0;
        if (p[0] == 0xe0)
                low = 0xa0;
        else if (p[0] == 0xed)
                high = 0x9f;
        else if (p[0] == 0xf0)
                low = 0x90;
        else if (p[0] == 0xf4)
                high = 0x8f;
        if (p[1] < low || p[1] > high)
                return 0;
        for (size_t i = 2; i < n; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        return n;
}

/* C0 and C1: a terminal obeys U+009B as it does ESC [. */
static bool is_control(const unsigned char *p, size_t n) {
        if (n == 2)
                return p[0] == 0xc2 && p[1] < 0xa0;
        return n == 1 && ((p[0] < 0x20 && p[0] != '\n' && p[0] != '\t') || p[0] == 0x7f);
}

/**
 * text_sanitize() - copy of @data as a C string of valid UTF-8
 * @ret: malformed bytes become U+FFFD, control characters but newline and tab become '?'; owned by the caller
 *
 * Return: 0 or -ENOMEM.
 */
int text_sanitize(const char *data, size_t len, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};
        const unsigned char *p = (const unsigned char *) data;

        for (size_t i = 0; i < len;) {
                size_t n = sequence_length(p + i, len - i);

                if (n == 0)
                        strbuf_append(&out, "\xef\xbf\xbd");
                else if (is_control(p + i, n))
                        strbuf_append(&out, "?");
                else
                        strbuf_append_bytes(&out, p + i, n);
                i += MAX(n, (size_t) 1);
        }
        return strbuf_finish(&out, ret);
}
