/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "config/net_message.h"

#define ID "0123456789abcdef0123456789abcdef"

static void test_a_request_survives_the_way(void **state) {
        const NetRequest request = {.kind = NET_REQUEST_TAP,
                                    .vm_id = ID,
                                    .vm_name = "b\"ü",
                                    .network = "lab",
                                    .cid = 4294967295,
                                    .index = 7,
                                    .queues = 16,
                                    .isolated = true};
        _cleanup_(freep) char *json = NULL;
        NetRequest back;

        assert_int_equal(net_request_format(&request, &json), 0);
        assert_int_equal(net_request_parse(json, &back, NULL), 0);
        assert_int_equal(back.kind, NET_REQUEST_TAP);
        assert_string_equal(back.vm_id, request.vm_id);
        assert_string_equal(back.vm_name, request.vm_name);
        assert_string_equal(back.network, "lab");
        assert_int_equal(back.cid, request.cid);
        assert_int_equal(back.index, 7);
        assert_int_equal(back.queues, 16);
        assert_true(back.isolated);
}

static void test_a_release_needs_the_vm_alone(void **state) {
        const NetRequest request = {.kind = NET_REQUEST_RELEASE, .vm_id = ID};
        _cleanup_(freep) char *json = NULL;
        NetRequest back;

        assert_int_equal(net_request_format(&request, &json), 0);
        assert_string_equal(json, "{\"request\":\"release\",\"vm_id\":\"" ID "\"}");
        assert_int_equal(net_request_parse(json, &back, NULL), 0);
        assert_int_equal(back.kind, NET_REQUEST_RELEASE);
}

static void test_wrong_requests_are_refused(void **state) {
#define TAP(rest) "{\"request\":\"tap\",\"vm_id\":\"" ID "\"," rest "}"
#define REST "\"vm_name\":\"a\",\"network\":\"n\",\"cid\":1,\"index\":0,"
        static const struct {
                const char *json, *message;
        } cases[] = {
                {"[]", "request: is missing"},
                {"{}", "request: is missing"},
                {"{\"request\":\"all\"}", "request: expected \"tap\" or \"release\", not \"all\""},
                {"{\"request\":\"release\",\"vm_id\":\"../../etc\"}",
                 "vm_id: expected 32 hexadecimal digits"},
                {"{\"request\":\"release\",\"vm_id\":\"" ID "0\"}",
                 "vm_id: expected at most 32 bytes"},
                {TAP(REST "\"queues\":17"), "queues: expected an integer from 0 to 16, not 17"},
                {TAP(REST "\"queues\":0"), "queues: expected 1 to 16"},
                {TAP("\"vm_name\":\"a/b\",\"network\":\"n\",\"queues\":1"),
                 "vm_name: expected the name of a VM"},
                {TAP("\"vm_name\":\"a\",\"network\":\"N\",\"queues\":1"),
                 "network: expected the name of a network"},
                {TAP("\"index\":8"), "index: expected an integer from 0 to 7, not 8"},
                {TAP("\"more\":1"), "more: unknown key"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                NetRequest request;

                assert_int_equal(net_request_parse(cases[i].json, &request, &error), -EINVAL);
                assert_string_equal(error.message, cases[i].message);
        }
}

static void test_an_answer_survives_the_way(void **state) {
        NetAnswer answer = {.interface = "vm2048-0", .ifindex = 17}, back;
        _cleanup_(freep) char *json = NULL, *bad = NULL;

        assert_int_equal(net_answer_format(&answer, &json), 0);
        assert_int_equal(net_answer_parse(json, &back, NULL), 0);
        assert_null(back.error);
        assert_string_equal(back.interface, "vm2048-0");
        assert_int_equal(back.ifindex, 17);
        answer.error = strdup("no \"room\"");
        assert_int_equal(net_answer_format(&answer, &bad), 0);
        net_answer_deinit(&answer);
        assert_int_equal(net_answer_parse(bad, &back, NULL), 0);
        assert_string_equal(back.error, "no \"room\"");
        net_answer_deinit(&back);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_request_survives_the_way),
                cmocka_unit_test(test_a_release_needs_the_vm_alone),
                cmocka_unit_test(test_wrong_requests_are_refused),
                cmocka_unit_test(test_an_answer_survives_the_way),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
