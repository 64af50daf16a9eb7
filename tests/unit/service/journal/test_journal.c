/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's catalog against the code: every message id has an entry, and every entry the fields that it shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"

#define CATALOG "systemd/vivarium.catalog"
#define IDS "service/journal/journal.h"
#define SENDER "service/journal/journal.c"
#define FILE_BYTES_MAX (256u * 1024u)
#define ID_LEN 32u
#define HEX "0123456789abcdef"

static char *load(const char *path) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        char *text = NULL;

        assert_true(fd >= 0);
        assert_int_equal(fd_read_bounded(fd, FILE_BYTES_MAX, &text, NULL), 0);
        return text;
}

/* The next "#define JOURNAL_MESSAGE_NAME "ID"" behind @text: its name and id. */
static const char *next_id(const char *text, char *name, size_t size, char id[ID_LEN + 1]) {
        const char *define = strstr(text, "#define JOURNAL_MESSAGE_"), *quote;

        if (!define)
                return NULL;
        define += strlen("#define ");
        quote = strchr(define, '"');
        assert_non_null(quote);
        assert_int_equal(strspn(quote + 1, HEX), ID_LEN);
        (void) snprintf(name, size, "%.*s", (int) strcspn(define, " "), define);
        (void) snprintf(id, ID_LEN + 1, "%s", quote + 1);
        return quote + 1;
}

/* The entry of @id in the catalog, owned by the caller; NULL if it has none. */
static char *find_entry(const char *catalog, const char *id) {
        char head[ID_LEN + 6];
        const char *entry, *end;

        (void) snprintf(head, sizeof(head), "\n-- %s\n", id);
        entry = strstr(catalog, head);
        if (!entry)
                return NULL;
        entry += strlen(head);
        end = strstr(entry, "\n-- ");
        return strndup(entry, end ? (size_t) (end - entry) : strlen(entry));
}

/* What makes the entry of @name: from its mention in the code to where the entry is sent. */
static char *find_call(const char *code, const char *name) {
        const char *call = strstr(code, name), *end = call ? strstr(call, "send_entry(") : NULL;

        if (!end)
                fail_msg("nothing in %s sends %s", SENDER, name);
        return strndup(call, (size_t) (end - call));
}

static unsigned check_fields(const char *name, const char *entry, const char *call) {
        unsigned n = 0;

        for (const char *at = strchr(entry, '@'); at; at = strchr(at, '@')) {
                size_t len = strspn(at + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
                char field[64];

                if (len == 0 || at[1 + len] != '@')
                        fail_msg("the entry of %s has a stray @", name);
                (void) snprintf(field, sizeof(field), "\"%.*s\"", (int) len, at + 1);
                if (!strstr(call, field))
                        fail_msg("the entry of %s shows %.*s, which is not sent", name, (int) len,
                                 at + 1);
                at += len + 2;
                n++;
        }
        return n;
}

static void test_every_message_has_an_entry_of_fields_that_are_sent(void **state) {
        _cleanup_(freep) char *ids = load(IDS), *code = load(SENDER), *catalog = load(CATALOG);
        const char *text = ids;
        char name[64], id[ID_LEN + 1];
        unsigned n = 0;

        while ((text = next_id(text, name, sizeof(name), id))) {
                _cleanup_(freep) char *entry = find_entry(catalog, id), *call = NULL;

                if (!entry)
                        fail_msg("%s has no entry for %s, %s", CATALOG, name, id);
                assert_int_equal(strncmp(entry, "Subject: ", strlen("Subject: ")), 0);
                assert_non_null(strstr(entry, "\nDefined-By: "));
                assert_non_null(strstr(entry, "\nDocumentation: man:"));
                call = find_call(code, name);
                assert_true(check_fields(name, entry, call) > 0);
                n++;
        }
        assert_true(n >= 3);
}

static void test_every_entry_has_a_message(void **state) {
        _cleanup_(freep) char *ids = load(IDS), *catalog = load(CATALOG);
        unsigned n = 0;

        for (const char *entry = strstr(catalog, "\n-- "); entry; entry = strstr(entry, "\n-- ")) {
                char id[ID_LEN + 1];

                entry += strlen("\n-- ");
                (void) snprintf(id, sizeof(id), "%s", entry);
                assert_int_equal(strspn(id, HEX), ID_LEN);
                if (!strstr(ids, id))
                        fail_msg("%s explains %s, which nothing sends", CATALOG, id);
                n++;
        }
        assert_true(n >= 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_message_has_an_entry_of_fields_that_are_sent),
                cmocka_unit_test(test_every_entry_has_a_message),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
