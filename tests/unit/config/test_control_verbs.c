/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "config/control_verbs.h"

/* @line: words separated by '|'. */
static int parse(const char *line, ControlCommand *ret, TextError *error) {
        static char words[256];
        char *argv[8];
        int argc = 0;
        char *rest = words;

        assert_true(strlen(line) < sizeof(words));
        memcpy(words, line, strlen(line) + 1);
        while (rest && argc < 8)
                argv[argc++] = strsep(&rest, "|");
        return control_verb_parse(argc, argv, ret, error);
}

static void test_commands_become_requests(void **state) {
        static const struct {
                const char *line, *json, *file;
        } cases[] = {
                {"stop|/s", "\"Exit\"", NULL},
                {"suspend|/s", "\"SuspendVcpus\"", NULL},
                {"suspend|--full|/s", "\"SuspendVm\"", NULL},
                {"resume|/s|--full", "\"ResumeVm\"", NULL},
                {"powerbtn|/s", "\"Powerbtn\"", NULL},
                {"sleepbtn|/s", "\"Sleepbtn\"", NULL},
                {"make_rt|/s", "\"MakeRT\"", NULL},
                {"gpe|3|/s", "{\"Gpe\":{\"gpe\":3,\"clear_evt\":null}}", NULL},
                {"balloon|1024|/s",
                 "{\"BalloonCommand\":{\"Adjust\":{\"num_bytes\":1024,"
                 "\"wait_for_success\":false}}}",
                 NULL},
                {"balloon|--wait|1024|/s",
                 "{\"BalloonCommand\":{\"Adjust\":{\"num_bytes\":1024,\"wait_for_success\":true}}}",
                 NULL},
                {"balloon_stats|/s", "{\"BalloonCommand\":\"Stats\"}", NULL},
                {"disk|resize|1|4096|/s",
                 "{\"DiskCommand\":{\"disk_index\":1,\"command\":{\"Resize\":{\"new_size\":4096}}}"
                 "}",
                 NULL},
                {"disk|add|/d.img,ro|/s",
                 "{\"HotPlugDiskCommand\":{\"AddDisk\":{\"block\":\"/d.img,ro\",\"file\":0}}}",
                 "/d.img"},
                {"disk|remove|9|/s", "{\"HotPlugDiskCommand\":{\"RemoveDisk\":9}}", NULL},
                {"virtio-net|add|tap0|/s", "{\"HotPlugNetCommand\":{\"AddTapFd\":{\"tap\":0}}}",
                 NULL},
                {"virtio-net|remove|9|/s", "{\"HotPlugNetCommand\":{\"RemoveTap\":9}}", NULL},
                {"virtio-net|link|9|down|/s",
                 "{\"NetCommand\":{\"SetLink\":{\"bus\":9,\"up\":false}}}", NULL},
                {"vfio|remove|/f|/s",
                 "{\"HotPlugVfioCommand\":{\"device\":{\"device_type\":\"EndPoint\",\"path\":\"/"
                 "f\","
                 "\"hp_interrupt\":false},\"add\":false}}",
                 NULL},
                {"ramdump|/f|/s", "{\"Ramdump\":{\"file\":0}}", "/f"},
                {"snapshot|take|/f|/s", "{\"Snapshot\":{\"Take\":{\"file\":0}}}", "/f"},
                {"vcpus|/s", "\"VcpuPidTid\"", NULL},
                {"state|/s", "\"State\"", NULL},
                {"stats|/s", "\"Stats\"", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(control_command_deinit) ControlCommand command = {0};
                _cleanup_(freep) char *json = NULL;
                int r = parse(cases[i].line, &command, &error);

                if (r < 0)
                        fail_msg("%s: %s", cases[i].line, text_error_message(&error, r));
                assert_string_equal(command.socket, "/s");
                assert_int_equal(control_request_format(&command.request, &json), 0);
                assert_string_equal(json, cases[i].json);
                if (cases[i].file)
                        assert_string_equal(command.file, cases[i].file);
                else
                        assert_null(command.file);
        }
}

static void test_mistakes_are_named(void **state) {
        static const struct {
                const char *line, *sentence;
        } cases[] = {
                {"stop", "stop: expected SOCKET"},
                {"stop|/s|/t", "stop: expected SOCKET"},
                {"stop|--full|/s", "--full: unknown option"},
                {"gpe|/s", "gpe: expected GPE SOCKET"},
                {"gpe|x|/s", "GPE: expected a number, not 'x'"},
                {"balloon|-1|/s", "expected a number of bytes, not '-1'"},
                {"disk|/s", "disk: unknown or missing subcommand"},
                {"disk|resize|0|/s", "disk resize: expected DISK BYTES SOCKET"},
                {"disk|add|ro=true|/s", "disk add: path= is missing"},
                {"virtio-net|link|9|sideways|/s", "expected up or down"},
                {"disk|resize|1|2|3|4", "too many arguments"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                ControlCommand command;
                int r = parse(cases[i].line, &command, &error);

                assert_int_equal(r, -EINVAL);
                if (!strstr(text_error_message(&error, r), cases[i].sentence))
                        fail_msg("%s: %s", cases[i].line, text_error_message(&error, r));
        }
        assert_true(control_verb_exists("disk"));
        assert_false(control_verb_exists("run"));
}

static void test_help_is_asked_for_behind_any_verb(void **state) {
        _cleanup_(freep) char *text = NULL;
        ControlCommand command;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);

        assert_int_equal(parse("stop|--help", &command, NULL), CONTROL_VERB_E_HELP);
        assert_int_equal(parse("disk|--help", &command, NULL), CONTROL_VERB_E_HELP);
        assert_int_equal(parse("swap|enable|-h", &command, NULL), CONTROL_VERB_E_HELP);
        assert_non_null(out);
        control_verbs_help(out, "disk");
        assert_int_equal(fclose(out), 0);
        assert_non_null(strstr(text, "disk resize DISK BYTES SOCKET"));
        assert_non_null(strstr(text, "disk list SOCKET"));
        assert_null(strstr(text, "stop"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_commands_become_requests),
                cmocka_unit_test(test_mistakes_are_named),
                cmocka_unit_test(test_help_is_asked_for_behind_any_verb),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
