/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "config/control_message.h"

#define N_FDS 2u

static ControlRequest parse(const char *json) {
        _cleanup_(text_error_deinit) TextError error = {0};
        ControlRequest request;
        int r = control_request_parse(json, N_FDS, &request, &error);

        if (r < 0)
                fail_msg("%s: %s", json, text_error_message(&error, r));
        return request;
}

/* Parses, and expects the same text again when it is written. */
static ControlRequest round_trip(const char *json) {
        _cleanup_(freep) char *again = NULL;
        ControlRequest request = parse(json);

        assert_int_equal(control_request_format(&request, &again), 0);
        assert_string_equal(again, json);
        return request;
}

static void refused(const char *json, const char *sentence) {
        _cleanup_(text_error_deinit) TextError error = {0};
        ControlRequest request;
        int r = control_request_parse(json, N_FDS, &request, &error);

        assert_true(r == -EINVAL || r == -E2BIG);
        if (!strstr(text_error_message(&error, r), sentence))
                fail_msg("%s: expected \"%s\", not \"%s\"", json, sentence,
                         text_error_message(&error, r));
}

static void test_bare_names_are_crosvms(void **state) {
        static const struct {
                const char *json;
                ControlKind kind;
        } cases[] = {
                {"\"Exit\"", CONTROL_EXIT},
                {"\"Powerbtn\"", CONTROL_POWERBTN},
                {"\"Sleepbtn\"", CONTROL_SLEEPBTN},
                {"\"MakeRT\"", CONTROL_MAKE_RT},
                {"\"SuspendVcpus\"", CONTROL_SUSPEND_VCPUS},
                {"\"ResumeVcpus\"", CONTROL_RESUME_VCPUS},
                {"\"SuspendVm\"", CONTROL_SUSPEND_VM},
                {"\"ResumeVm\"", CONTROL_RESUME_VM},
                {"\"VcpuPidTid\"", CONTROL_VCPU_PID_TID},
                {"\"Stats\"", CONTROL_STATS},
                {"\"State\"", CONTROL_STATE},
                {"{\"BalloonCommand\":\"Stats\"}", CONTROL_BALLOON_STATS},
                {"{\"HotPlugDiskCommand\":\"ListDisks\"}", CONTROL_DISK_LIST},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(round_trip(cases[i].json).kind, cases[i].kind);
}

static void test_members_arrive(void **state) {
        ControlRequest request;

        request = round_trip("{\"Gpe\":{\"gpe\":3,\"clear_evt\":null}}");
        assert_int_equal(request.kind, CONTROL_GPE);
        assert_int_equal(request.index, 3);
        assert_int_equal(request.fd_index, -1);

        request = round_trip("{\"Gpe\":{\"gpe\":0,\"clear_evt\":1}}");
        assert_int_equal(request.fd_index, 1);

        request = round_trip("{\"BalloonCommand\":{\"Adjust\":{\"num_bytes\":104857600,\"wait_for_"
                             "success\":true}}}");
        assert_int_equal(request.kind, CONTROL_BALLOON_ADJUST);
        assert_int_equal(request.bytes, 104857600);
        assert_true(request.flag);

        request = round_trip("{\"DiskCommand\":{\"disk_index\":2,\"command\":{\"Resize\":{\"new_"
                             "size\":4096}}}}");
        assert_int_equal(request.kind, CONTROL_DISK_RESIZE);
        assert_int_equal(request.index, 2);
        assert_int_equal(request.bytes, 4096);

        request = round_trip("{\"HotPlugNetCommand\":{\"AddTap\":\"tap0\"}}");
        assert_int_equal(request.kind, CONTROL_NET_ADD);
        assert_string_equal(request.text, "tap0");
        control_request_deinit(&request);

        request = round_trip("{\"HotPlugNetCommand\":{\"RemoveTap\":9}}");
        assert_int_equal(request.kind, CONTROL_NET_REMOVE);
        assert_int_equal(request.index, 9);

        request =
                round_trip("{\"HotPlugDiskCommand\":{\"AddDisk\":{\"block\":\"ro\",\"file\":0}}}");
        assert_int_equal(request.kind, CONTROL_DISK_ADD);
        assert_string_equal(request.text, "ro");
        assert_int_equal(request.fd_index, 0);
        control_request_deinit(&request);

        request = round_trip("{\"HotPlugDiskCommand\":{\"RemoveDisk\":9}}");
        assert_int_equal(request.kind, CONTROL_DISK_REMOVE);
        assert_int_equal(request.index, 9);
        assert_false(request.flag);

        request = round_trip("{\"HotPlugDiskCommand\":{\"RemoveDisk\":{\"disk\":2}}}");
        assert_int_equal(request.kind, CONTROL_DISK_REMOVE);
        assert_int_equal(request.index, 2);
        assert_true(request.flag);
        refused("{\"HotPlugDiskCommand\":{\"RemoveDisk\":{}}}", "\"disk\" is missing");
        refused("{\"HotPlugDiskCommand\":{\"RemoveDisk\":32}}", "0 to 31");

        request = round_trip(
                "{\"HotPlugVfioCommand\":{\"device\":{\"device_type\":\"EndPoint\",\"path\":"
                "\"/sys/f\",\"hp_interrupt\":true},\"add\":true,\"group\":1}}");
        assert_int_equal(request.kind, CONTROL_VFIO);
        assert_string_equal(request.text, "/sys/f");
        assert_int_equal(request.fd_index, 1);
        assert_true(request.flag);
        control_request_deinit(&request);

        request = round_trip("{\"Ramdump\":{\"file\":1}}");
        assert_int_equal(request.kind, CONTROL_RAMDUMP);
        assert_int_equal(request.fd_index, 1);

        request = round_trip("{\"Snapshot\":{\"Take\":{\"file\":1}}}");
        assert_int_equal(request.kind, CONTROL_SNAPSHOT_TAKE);
        assert_int_equal(request.fd_index, 1);
}

static void test_a_snapshot_is_asked_for_as_in_crosvm(void **state) {
        ControlRequest request = parse("{\"Snapshot\":{\"Take\":{\"snapshot_path\":\"/d\","
                                       "\"compress_memory\":false,\"encrypt\":false}}}");

        assert_int_equal(request.kind, CONTROL_SNAPSHOT_TAKE);
        assert_string_equal(request.text, "/d");
        assert_int_equal(request.fd_index, -1);
        control_request_deinit(&request);
        refused("{\"Snapshot\":{\"Take\":{\"snapshot_path\":\"/d\",\"compress_memory\":true}}}",
                "compress_memory: is not supported");
        refused("{\"Snapshot\":{\"Take\":{\"snapshot_path\":\"/d\",\"encrypt\":true}}}",
                "encrypt: is not supported");
        refused("{\"Snapshot\":{\"Take\":{}}}", "one of");
        refused("{\"Snapshot\":{\"Take\":{\"snapshot_path\":\"/d\",\"file\":0}}}", "one of");
        refused("\"Snapshot\"", "command is missing");
}

static void test_swapping_is_asked_for_as_in_crosvm(void **state) {
        static const struct {
                const char *json;
                ControlKind kind;
        } cases[] = {
                {"{\"Swap\":\"Enable\"}", CONTROL_SWAP_ENABLE},
                {"{\"Swap\":\"Trim\"}", CONTROL_SWAP_TRIM},
                {"{\"Swap\":\"SwapOut\"}", CONTROL_SWAP_OUT},
                {"{\"Swap\":\"Status\"}", CONTROL_SWAP_STATUS},
        };
        ControlRequest request;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(round_trip(cases[i].json).kind, cases[i].kind);
        request = round_trip("{\"Swap\":{\"Disable\":{\"slow_file_cleanup\":true}}}");
        assert_int_equal(request.kind, CONTROL_SWAP_DISABLE);
        assert_true(request.flag);
        assert_false(round_trip("{\"Swap\":{\"Disable\":{\"slow_file_cleanup\":false}}}").flag);
        refused("{\"Swap\":{\"Disable\":{}}}", "slow_file_cleanup");
        refused("{\"Swap\":{\"Enable\":1}}", "takes no value");
}

static void test_a_function_of_the_host_is_asked_for_as_in_crosvm(void **state) {
        ControlRequest request =
                parse("{\"HotPlugVfioCommand\":{\"device\":{\"device_type\":\"EndPoint\",\"path\":"
                      "\"/sys/f\",\"hp_interrupt\":false},\"add\":false}}");

        assert_int_equal(request.kind, CONTROL_VFIO);
        assert_string_equal(request.text, "/sys/f");
        assert_int_equal(request.fd_index, -1);
        assert_false(request.flag);
        control_request_deinit(&request);
        refused("{\"HotPlugVfioCommand\":{\"add\":true}}", "\"device\" is missing");
        refused("{\"HotPlugVfioCommand\":{\"device\":{\"path\":\"/f\"}}}", "\"add\" is missing");
        refused("{\"HotPlugVfioCommand\":{\"device\":{},\"add\":true}}", "\"path\" is missing");
        refused("{\"HotPlugVfioCommand\":{\"device\":{\"path\":\"\"},\"add\":true}}", "1 to");
        refused("{\"HotPlugVfioCommand\":{\"device\":{\"device_type\":\"UpstreamPort\",\"path\":\"/"
                "f\"},"
                "\"add\":true}}",
                "\"UpstreamPort\" is not supported");
        refused("{\"HotPlugVfioCommand\":{\"device\":{\"path\":\"/f\"},\"add\":true,\"group\":2}}",
                "names descriptor 2");
}

static void test_what_only_crosvm_has_is_told_by_its_name(void **state) {
        static const struct {
                const char *json, *name;
        } cases[] = {
                {"\"PciPme\"", "PciPme"},
                {"{\"Swap\":\"Nothing\"}", "Swap.Nothing"},
                {"{\"UsbCommand\":{\"ListDevice\":{\"ports\":[1]}}}", "UsbCommand"},
                {"{\"BalloonCommand\":\"WorkingSet\"}", "BalloonCommand.WorkingSet"},
                {"{\"BalloonCommand\":{\"WorkingSetConfig\":{}}}",
                 "BalloonCommand.WorkingSetConfig"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ControlRequest request = parse(cases[i].json);

                assert_int_equal(request.kind, CONTROL_UNSUPPORTED);
                assert_string_equal(request.text, cases[i].name);
                control_request_deinit(&request);
        }
}

static void test_anything_else_is_refused_with_its_place(void **state) {
        static char large[CONTROL_MESSAGE_MAX + 2];

        refused("", "line 1");
        refused("\"Exit", "line 1");
        refused("null", "expected a name");
        refused("[\"Exit\"]", "expected a name");
        refused("{}", "expected a name");
        refused("\"Quit\"", "unknown request \"Quit\"");
        refused("{\"Exit\":1,\"State\":2}", "expected a name");
        refused("{\"Exit\":1}", "Exit: takes no value");
        refused("\"Gpe\"", "expected an object");
        refused("{\"Gpe\":{\"gpe\":3,\"edge\":1}}", "edge: unknown key");
        refused("{\"Gpe\":{\"clear_evt\":null}}", "\"gpe\" is missing");
        refused("{\"Gpe\":{\"gpe\":-1}}", "Gpe.gpe: expected an integer");
        refused("{\"Gpe\":{\"gpe\":1,\"clear_evt\":2}}", "names descriptor 2, but 2 came");
        refused("\"BalloonCommand\"", "command is missing");
        refused("{\"BalloonCommand\":{\"Adjust\":{\"num_bytes\":1}}}",
                "\"wait_for_success\" is missing");
        refused("{\"BalloonCommand\":{\"Adjust\":{\"num_bytes\":18446744073709551615,"
                "\"wait_for_success\":false}}}",
                "num_bytes: expected an integer");
        refused("{\"DiskCommand\":{\"disk_index\":0,\"command\":{}}}", "expected {\"Resize\"");
        refused("{\"DiskCommand\":{\"disk_index\":0,\"command\":{\"Resize\":{}}}}",
                "\"new_size\" is missing");
        refused("{\"HotPlugNetCommand\":{\"AddTap\":\"\"}}", "expected 1 to");
        refused("{\"HotPlugNetCommand\":{\"RemoveTap\":32}}", "expected an integer from 0 to 31");
        refused("{\"HotPlugNetCommand\":{\"AddTapFd\":{\"tap\":null}}}", "names no descriptor");
        refused("{\"HotPlugDiskCommand\":{\"AddDisk\":{}}}", "\"block\" or \"file\"");
        refused("{\"Ramdump\":{\"path\":\"/a\",\"file\":0}}", "one of");
        refused("[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "deep");
        memset(large, ' ', sizeof(large));
        large[sizeof(large) - 1] = '\0';
        refused(large, "longer than");
}

static void assert_answer(const ControlAnswer *answer, const char *json) {
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(control_answer_format(answer, &text), 0);
        assert_string_equal(text, json);
}

static void test_answers_are_crosvms(void **state) {
        const ControlVcpu vcpus[] = {{10, 11}, {10, 12}};
        const ControlCounter counters[] = {
                {"vcpus", "0", "pio", 1},
                {"vcpus", "0", "mmio", 2},
                {"devices", "virtio-blk@3", "notify", 3},
        };
        const ControlSwap swap = {
                .state = "Active",
                .resident_pages = 1,
                .copied_from_file_pages = 2,
                .copied_from_staging_pages = 3,
                .zeroed_pages = 4,
                .redundant_pages = 5,
                .staging_pages = 6,
                .swap_pages = 7,
                .transition_pages = 8,
                .transition_ms = 9,
        };
        ControlBalloon balloon;

        assert_answer(&(ControlAnswer){.kind = CONTROL_ANSWER_SWAP, .swap = swap},
                      "{\"SwapStatus\":{\"state\":\"Active\",\"metrics\":{\"resident_pages\":1,"
                      "\"copied_from_file_pages\":2,\"copied_from_staging_pages\":3,"
                      "\"zeroed_pages\":4,\"redundant_pages\":5,\"staging_pages\":6,"
                      "\"swap_pages\":7},\"state_transition\":{\"pages\":8,\"time_ms\":9}}}");
        assert_answer(&(ControlAnswer){.kind = CONTROL_OK}, "\"Ok\"");
        assert_answer(&(ControlAnswer){.kind = CONTROL_ERR, .error = 95}, "{\"Err\":95}");
        assert_answer(&(ControlAnswer){.kind = CONTROL_ANSWER_HOTPLUG, .bus = 9},
                      "{\"PciHotPlugResponse\":{\"bus\":9}}");
        assert_answer(
                &(ControlAnswer){
                        .kind = CONTROL_ANSWER_HOTPLUG, .bus = 9, .has_disk = true, .disk = 0},
                "{\"PciHotPlugResponse\":{\"bus\":9,\"disk\":0}}");
        assert_answer(&(ControlAnswer){.kind = CONTROL_ANSWER_DISKS,
                                       .disks = {{0, 3, 512, true, "a"}, {2, 9, 4096, false, ""}},
                                       .n_disks = 2},
                      "{\"Disks\":[{\"disk\":0,\"bus\":3,\"bytes\":512,\"ro\":true,\"id\":\"a\"},"
                      "{\"disk\":2,\"bus\":9,\"bytes\":4096,\"ro\":false,\"id\":\"\"}]}");
        assert_answer(&(ControlAnswer){.kind = CONTROL_ANSWER_VCPUS,
                                       .vcpus = vcpus,
                                       .n_vcpus = ELEMENTSOF(vcpus)},
                      "{\"VcpuPidTidResponse\":{\"pid_tid_map\":{\"0\":[10,11],\"1\":[10,12]}}}");
        assert_answer(&(ControlAnswer){.kind = CONTROL_ANSWER_STATS,
                                       .counters = counters,
                                       .n_counters = ELEMENTSOF(counters)},
                      "{\"Stats\":{\"vcpus\":{\"0\":{\"pio\":1,\"mmio\":2}},"
                      "\"devices\":{\"virtio-blk@3\":{\"notify\":3}}}}");
        memset(&balloon, 0xff, sizeof(balloon));
        balloon.free_memory = 5;
        balloon.balloon_actual = 6;
        assert_answer(&(ControlAnswer){.kind = CONTROL_ANSWER_BALLOON, .balloon = balloon},
                      "{\"BalloonStats\":{\"stats\":{\"swap_in\":null,\"swap_out\":null,"
                      "\"major_faults\":null,\"minor_faults\":null,\"free_memory\":5,"
                      "\"total_memory\":null,\"available_memory\":null,\"disk_caches\":null,"
                      "\"hugetlb_allocations\":null,\"hugetlb_failures\":null,"
                      "\"shared_memory\":null,\"unevictable_memory\":null},"
                      "\"balloon_actual\":6}}");
}

static void test_answers_are_read_back(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};
        ControlAnswer answer;

        assert_int_equal(control_answer_parse("\"Ok\"", &answer, &error), 0);
        assert_int_equal(answer.kind, CONTROL_OK);
        assert_int_equal(control_answer_parse("{\"Err\":95}", &answer, &error), 0);
        assert_int_equal(answer.kind, CONTROL_ERR);
        assert_int_equal(answer.error, 95);
        assert_int_equal(control_answer_parse("{\"ErrString\":\"no\"}", &answer, &error), 0);
        assert_int_equal(answer.kind, CONTROL_ERR_STRING);
        assert_string_equal(answer.text, "no");
        free(answer.text);
        assert_int_equal(control_answer_parse("{\"BalloonStats\":{\"stats\":{\"swap_in\":null,"
                                              "\"free_memory\":7},\"balloon_actual\":8}}",
                                              &answer, &error),
                         0);
        assert_int_equal(answer.kind, CONTROL_ANSWER_BALLOON);
        assert_true(answer.balloon.swap_in == CONTROL_UNKNOWN);
        assert_int_equal(answer.balloon.free_memory, 7);
        assert_int_equal(answer.balloon.balloon_actual, 8);
        assert_int_equal(control_answer_parse("{\"State\":{\"vcpus\":\"suspended\","
                                              "\"devices\":\"running\"}}",
                                              &answer, &error),
                         0);
        assert_int_equal(answer.kind, CONTROL_ANSWER_STATE);
        assert_true(answer.vcpus_suspended && !answer.devices_suspended);
        assert_int_equal(
                control_answer_parse("{\"SwapStatus\":{\"state\":\"Ready\"}}", &answer, &error), 0);
        assert_int_equal(answer.kind, CONTROL_ANSWER_SWAP);
        assert_string_equal(answer.text, "{\"state\":\"Ready\"}");
        free(answer.text);

        assert_int_equal(control_answer_parse("{\"UsbResponse\":{}}", &answer, &error), 0);
        assert_int_equal(answer.kind, CONTROL_ANSWER_OTHER);
        assert_string_equal(answer.text, "{\"UsbResponse\":{}}");
        free(answer.text);
        assert_int_equal(control_answer_parse("[]", &answer, &error), -EINVAL);
}

static void test_disks_are_read_back(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};
        ControlAnswer answer;
        StrBuf many = {0};

        assert_int_equal(
                control_answer_parse("{\"PciHotPlugResponse\":{\"bus\":9}}", &answer, &error), 0);
        assert_false(answer.has_disk);
        assert_int_equal(control_answer_parse("{\"PciHotPlugResponse\":{\"bus\":9,\"disk\":3}}",
                                              &answer, &error),
                         0);
        assert_true(answer.has_disk && answer.disk == 3);
        assert_int_equal(control_answer_parse("{\"Disks\":[{\"disk\":1,\"bus\":9,\"bytes\":4096,"
                                              "\"ro\":true,\"id\":\"12345678901234567890\"}]}",
                                              &answer, &error),
                         0);
        assert_int_equal(answer.kind, CONTROL_ANSWER_DISKS);
        assert_int_equal(answer.n_disks, 1);
        assert_int_equal(answer.disks[0].number, 1);
        assert_int_equal(answer.disks[0].bus, 9);
        assert_true(answer.disks[0].bytes == 4096 && answer.disks[0].read_only);
        assert_string_equal(answer.disks[0].id, "12345678901234567890");
        assert_int_equal(control_answer_parse("{\"Disks\":[{\"id\":\"123456789012345678901\"}]}",
                                              &answer, &error),
                         -EINVAL);
        strbuf_append(&many, "{\"Disks\":[{}");
        for (unsigned i = 0; i < CONTROL_DISKS_MAX; i++)
                strbuf_append(&many, ",{}");
        strbuf_append(&many, "]}");
        assert_int_equal(control_answer_parse(many.data, &answer, &error), -EINVAL);
        strbuf_deinit(&many);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bare_names_are_crosvms),
                cmocka_unit_test(test_members_arrive),
                cmocka_unit_test(test_a_snapshot_is_asked_for_as_in_crosvm),
                cmocka_unit_test(test_swapping_is_asked_for_as_in_crosvm),
                cmocka_unit_test(test_a_function_of_the_host_is_asked_for_as_in_crosvm),
                cmocka_unit_test(test_what_only_crosvm_has_is_told_by_its_name),
                cmocka_unit_test(test_anything_else_is_refused_with_its_place),
                cmocka_unit_test(test_answers_are_crosvms),
                cmocka_unit_test(test_answers_are_read_back),
                cmocka_unit_test(test_disks_are_read_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
