/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/shell_quote.h"

/** shell_quote() - append a blank and @word, which no shell makes anything else of */
void shell_quote(StrBuf *out, const char *word) {
        strbuf_append(out, " '");
        for (const char *p = word; *p; p++)
                if (*p == '\'')
                        strbuf_append(out, "'\\''");
                else
                        strbuf_append_bytes(out, p, 1);
        strbuf_append(out, "'");
}
