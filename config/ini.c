/* SPDX-License-Identifier: Apache-2.0 */
#include "config/ini.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/utf8.h"

#define BLANK " \t\r"

/* Cuts blanks off both ends. */
static char *strip(char *text) {
        size_t n;

        text += strspn(text, BLANK);
        n = strlen(text);
        while (n > 0 && strchr(BLANK, text[n - 1]))
                n--;
        text[n] = '\0';
        return text;
}

static int take_section(char *line, char **section, TextError *reterr) {
        size_t n = strlen(line);

        if (n < 3 || line[n - 1] != ']')
                return text_error_set(reterr, -EINVAL, "expected [SECTION]");
        line[n - 1] = '\0';
        *section = strip(line + 1);
        return 0;
}

static int take_line(char *line, char **section, IniFn fn, void *userdata, TextError *reterr) {
        char *equals;
        int r;

        if (!*line || *line == '#' || *line == ';')
                return 0;
        if (*line == '[') {
                r = take_section(line, section, reterr);
                return r < 0 ? r : fn(userdata, *section, NULL, NULL, reterr);
        }
        equals = strchr(line, '=');
        if (!equals || equals == line)
                return text_error_set(reterr, -EINVAL, "expected KEY=VALUE");
        *equals = '\0';
        return fn(userdata, *section, strip(line), strip(equals + 1), reterr);
}

/**
 * ini_parse() - hand every line of a file to @fn
 * @text: @len bytes, at most INI_BYTES_MAX
 *
 * Return: 0; -E2BIG; -EINVAL with "line N: …" in @reterr; -ENOMEM; what @fn returned.
 */
int ini_parse(const char *text, size_t len, IniFn fn, void *userdata, TextError *reterr) {
        _cleanup_(freep) char *copy = NULL;
        char none[] = "", *section = none, *next;
        unsigned number = 0;

        if (len > INI_BYTES_MAX)
                return text_error_set(reterr, -E2BIG, "is longer than %u bytes", INI_BYTES_MAX);
        if (!utf8_valid(text, len) || memchr(text, '\0', len))
                return text_error_set(reterr, -EINVAL, "is no text in UTF-8");
        copy = strndup(text, len);
        if (!copy)
                return -ENOMEM;
        for (char *line = copy; line; line = next) {
                int r;

                number++;
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                r = take_line(strip(line), &section, fn, userdata, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "line %u", number);
        }
        return 0;
}
