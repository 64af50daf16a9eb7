/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "vmm/gdb/rsp.h"
#include "vmm/gdb/stub.h"

#define N_VCPUS 2u
#define MEMORY_GVA UINT64_C(0x1000)
#define MEMORY_BYTES 64u
#define ANSWER_BYTES 8192u

/* Two processors and a little memory, and what the stub asked of them. */
typedef struct Fixture {
        GdbStub *stub;
        GdbRegisters registers[N_VCPUS];
        uint8_t memory[MEMORY_BYTES];
        GdbPlan plan;
        unsigned n_goes, n_stops, n_detaches, n_kills;
        char answer[ANSWER_BYTES + 1]; /* data of the last packet sent */
        unsigned n_answers;
} Fixture;

static unsigned count_vcpus(void *target) {
        return N_VCPUS;
}

static int read_registers(void *target, unsigned vcpu, GdbRegisters *ret) {
        *ret = ((Fixture *) target)->registers[vcpu];
        return 0;
}

static int write_registers(void *target, unsigned vcpu, const GdbRegisters *registers) {
        ((Fixture *) target)->registers[vcpu] = *registers;
        return 0;
}

static ssize_t clip(uint64_t gva, size_t len) {
        if (gva < MEMORY_GVA || gva >= MEMORY_GVA + MEMORY_BYTES)
                return -EFAULT;
        return (ssize_t) MIN(len, MEMORY_GVA + MEMORY_BYTES - gva);
}

static ssize_t read_memory(void *target, unsigned vcpu, uint64_t gva, void *data, size_t len) {
        Fixture *f = target;
        ssize_t n = clip(gva, len);

        if (n > 0)
                memcpy(data, f->memory + (gva - MEMORY_GVA), (size_t) n);
        return n;
}

static ssize_t write_memory(void *target, unsigned vcpu, uint64_t gva, const void *data,
                            size_t len) {
        Fixture *f = target;
        ssize_t n = clip(gva, len);

        if (n > 0)
                memcpy(f->memory + (gva - MEMORY_GVA), data, (size_t) n);
        return n;
}

static int go_on(void *target, const GdbPlan *plan) {
        Fixture *f = target;

        f->plan = *plan;
        f->n_goes++;
        return 0;
}

static void stop(void *target) {
        ((Fixture *) target)->n_stops++;
}

static void detach(void *target) {
        ((Fixture *) target)->n_detaches++;
}

static void kill_machine(void *target) {
        ((Fixture *) target)->n_kills++;
}

static const GdbTargetOps ops = {
        .count_vcpus = count_vcpus,
        .read_registers = read_registers,
        .write_registers = write_registers,
        .read_memory = read_memory,
        .write_memory = write_memory,
        .go_on = go_on,
        .stop = stop,
        .detach = detach,
        .kill = kill_machine,
};

static void take_answer(void *userdata, const char *data, size_t len) {
        Fixture *f = userdata;

        if (len == 1)
                return; /* an acknowledgement */
        assert_true(len >= 4 && len - 4 <= ANSWER_BYTES);
        memcpy(f->answer, data + 1, len - 4);
        f->answer[len - 4] = '\0';
        f->n_answers++;
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(gdb_stub_new(&ops, f, take_answer, f, &f->stub), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) gdb_stub_free(f->stub);
        free(f);
        return 0;
}

static bool tell_bytes(Fixture *f, const char *packet, size_t len) {
        char frame[256];
        size_t n = rsp_frame(packet, len, frame, sizeof(frame));

        assert_true(n > 0);
        return gdb_stub_receive(f->stub, (const uint8_t *) frame, n);
}

static void assert_answers(Fixture *f, const char *packet, const char *answer) {
        unsigned before = f->n_answers;

        (void) tell_bytes(f, packet, strlen(packet));
        assert_int_equal(f->n_answers, before + 1);
        assert_string_equal(f->answer, answer);
}

static void assert_silent(Fixture *f, const char *packet) {
        unsigned before = f->n_answers;

        (void) tell_bytes(f, packet, strlen(packet));
        assert_int_equal(f->n_answers, before);
}

static void introduce(Fixture *f) {
        assert_true(tell_bytes(f, "qSupported:swbreak+;hwbreak+", 28));
        assert_non_null(strstr(f->answer, "PacketSize=4000"));
}

static void test_threads_are_vcpus_from_1(void **state) {
        Fixture *f = *state;

        assert_answers(f, "qfThreadInfo", "m1,2");
        assert_answers(f, "qsThreadInfo", "l");
        assert_answers(f, "qC", "QC1");
        assert_answers(f, "Hg2", "OK");
        assert_answers(f, "qC", "QC2");
        assert_answers(f, "Hg3", "E16");
        assert_answers(f, "T2", "OK");
        assert_answers(f, "T3", "E03");
        assert_answers(f, "qThreadExtraInfo,2", "764350552031"); /* "vCPU 1" */
}

static void test_registers_are_read_and_written_by_number(void **state) {
        Fixture *f = *state;

        f->registers[0].general.rip = 0x1122334455667788;
        f->registers[1].general.rax = 5;
        assert_answers(f, "p10", "8877665544332211");
        assert_answers(f, "Hg2", "OK");
        assert_answers(f, "p0", "0500000000000000");
        assert_answers(f, "P1=efbeadde00000000", "OK");
        assert_int_equal(f->registers[1].general.rbx, 0xdeadbeef);
        assert_answers(f, "P1=zz", "E16");
        assert_answers(f, "p40", "E16");
}

static void test_all_registers_have_the_length_of_the_description(void **state) {
        Fixture *f = *state;
        char text[2 * GDB_REGISTERS_BYTES + 2];

        assert_true(tell_bytes(f, "g", 1));
        assert_int_equal(strlen(f->answer), 2 * GDB_REGISTERS_BYTES);
        f->registers[0].general.r15 = 1;
        text[0] = 'G';
        memset(text + 1, '0', sizeof(text) - 2);
        text[sizeof(text) - 1] = '\0';
        {
                char frame[2 * GDB_REGISTERS_BYTES + 8];
                size_t n = rsp_frame(text, strlen(text), frame, sizeof(frame));

                assert_true(gdb_stub_receive(f->stub, (const uint8_t *) frame, n));
        }
        assert_string_equal(f->answer, "OK");
        assert_int_equal(f->registers[0].general.r15, 0);
}

static void test_control_registers_and_selectors_are_not_written(void **state) {
        Fixture *f = *state;

        f->registers[0].system.cr0 = 7;
        assert_answers(f, "p3b", "0700000000000000");
        assert_answers(f, "P3b=0000000000000000", "E01");
        assert_answers(f, "P12=00000000", "E01");
        assert_int_equal(f->registers[0].system.cr0, 7);
        assert_answers(f, "P39=0100000000000000", "OK"); /* fs_base */
        assert_int_equal(f->registers[0].system.fs.base, 1);
}

static void test_empty_x87_registers_have_a_tag_of_11(void **state) {
        Fixture *f = *state;

        f->registers[0].xsave.area[4] = 0x81; /* registers 0 and 7 are in use */
        assert_answers(f, "p22", "fc3f0000");
        assert_answers(f, "P22=ffff0000", "OK");
        assert_int_equal(f->registers[0].xsave.area[4], 0);
}

static void test_memory_is_read_as_far_as_it_goes(void **state) {
        Fixture *f = *state;

        f->memory[0] = 0xab;
        f->memory[MEMORY_BYTES - 1] = 0xcd;
        assert_answers(f, "m1000,2", "ab00");
        assert_answers(f, "m103f,4", "cd");
        assert_answers(f, "m2000,4", "E0e");
        assert_answers(f, "m1000", "E16");
        assert_answers(f, "m1000,", "E16");
}

static void test_memory_is_written_in_digits_and_in_bytes(void **state) {
        Fixture *f = *state;

        assert_answers(f, "M1000,2:beef", "OK");
        assert_memory_equal(f->memory, "\xbe\xef", 2);
        assert_true(tell_bytes(f, "X1002,2:\x00\x7f", 10));
        assert_string_equal(f->answer, "OK");
        assert_memory_equal(f->memory + 2, "\x00\x7f", 2);
        assert_answers(f, "X1000,0:", "OK"); /* gdb asks so whether X is known */
        assert_answers(f, "M1000,2:be", "E16");
        assert_answers(f, "M103f,2:0102", "E0e");
        assert_answers(f, "Mffffffffffffffff,ffffffffffffffff:00", "E16");
}

static void test_a_breakpoint_replaces_a_byte_and_gives_it_back(void **state) {
        Fixture *f = *state;

        introduce(f);
        f->memory[3] = 0x90;
        assert_answers(f, "Z0,1003,1", "OK");
        assert_int_equal(f->memory[3], 0xcc);
        assert_true(gdb_stub_is_own_breakpoint(f->stub, 0x1003));
        assert_answers(f, "Z0,1003,1", "OK"); /* once more is no harm */
        assert_answers(f, "z0,1003,1", "OK");
        assert_int_equal(f->memory[3], 0x90);
        assert_false(gdb_stub_is_own_breakpoint(f->stub, 0x1003));
        assert_answers(f, "Z0,5000,1", "E0e");
}

static void test_what_the_guest_wrote_over_a_breakpoint_stays(void **state) {
        Fixture *f = *state;

        introduce(f);
        assert_answers(f, "Z0,1003,1", "OK");
        f->memory[3] = 0x55;
        assert_answers(f, "z0,1003,1", "OK");
        assert_int_equal(f->memory[3], 0x55);
}

static void test_a_debugger_that_moves_rip_gets_no_software_breakpoints(void **state) {
        assert_answers(*state, "Z0,1003,1", "");
}

static void test_there_are_four_hardware_breakpoints(void **state) {
        Fixture *f = *state;

        introduce(f);
        assert_answers(f, "Z1,1000,1", "OK");
        assert_answers(f, "Z2,1008,8", "OK");
        assert_answers(f, "Z4,1010,4", "OK");
        assert_answers(f, "Z3,1018,4", ""); /* reads alone */
        assert_answers(f, "Z2,1003,4", "E16");
        assert_answers(f, "Z2,1000,10", "E16");
        assert_answers(f, "Z1,1001,1", "OK");
        assert_answers(f, "Z1,1002,1", "E1c");
        assert_answers(f, "z2,1008,8", "OK");
        assert_answers(f, "Z1,1002,1", "OK");
        assert_silent(f, "vCont;c");
        assert_int_equal(f->plan.n_breaks, 4);
}

static void test_each_vcpu_does_what_the_first_action_for_it_says(void **state) {
        Fixture *f = *state;

        assert_answers(f, "vCont?", "vCont;c;C;s;S");
        assert_silent(f, "vCont;s:2;c");
        assert_int_equal(f->plan.actions[0], GDB_CONTINUE);
        assert_int_equal(f->plan.actions[1], GDB_STEP);
        gdb_stub_stopped(f->stub,
                         &(GdbStop){.vcpu = 1, .debug = true, .cause = {.cause = VCPU_DEBUG_STEP}});
        assert_string_equal(f->answer, "T05thread:2;");
        assert_silent(f, "vCont;S05:2");
        assert_int_equal(f->plan.actions[0], GDB_HOLD);
        assert_int_equal(f->plan.actions[1], GDB_STEP);
}

static void test_bad_actions_do_not_start_the_machine(void **state) {
        static const char *const bad[] = {"vCont;x", "vCont;c:", "vCont;Cxx", "vContc", "c1000"};
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_answers(f, bad[i], "E16");
        assert_int_equal(f->n_goes, 0);
}

static void test_a_stop_names_its_cause(void **state) {
        Fixture *f = *state;
        GdbStop hit = {.vcpu = 0, .debug = true, .cause = {.cause = VCPU_DEBUG_BREAK, .which = 1}};

        introduce(f);
        assert_answers(f, "Z1,1000,1", "OK");
        assert_answers(f, "Z2,1008,8", "OK");
        assert_silent(f, "c");
        gdb_stub_stopped(f->stub, &hit);
        assert_string_equal(f->answer, "T05thread:1;watch:1008;");
        assert_silent(f, "c");
        hit.cause.which = 0;
        gdb_stub_stopped(f->stub, &hit);
        assert_string_equal(f->answer, "T05thread:1;hwbreak:;");
        assert_answers(f, "?", "T05thread:1;hwbreak:;");
}

static void test_an_interrupt_stops_a_running_machine_once(void **state) {
        static const uint8_t interrupts[] = {3, 3};
        Fixture *f = *state;

        assert_true(gdb_stub_receive(f->stub, interrupts, 1));
        assert_int_equal(f->n_stops, 0);
        assert_silent(f, "c");
        assert_silent(f, "g"); /* out of turn */
        assert_true(gdb_stub_receive(f->stub, interrupts, 2));
        assert_int_equal(f->n_stops, 1);
        assert_string_equal(f->answer, "T02thread:1;");
}

static void test_who_leaves_takes_the_breakpoints_along(void **state) {
        Fixture *f = *state;

        introduce(f);
        assert_answers(f, "Z0,1003,1", "OK");
        assert_silent(f, "c");
        gdb_stub_disconnect(f->stub);
        assert_int_equal(f->n_stops, 1);
        assert_int_equal(f->n_detaches, 1);
        assert_int_equal(f->memory[3], 0);
        gdb_stub_disconnect(f->stub);
        assert_int_equal(f->n_detaches, 1);
}

static void test_detaching_and_killing_end_the_connection(void **state) {
        Fixture *f = *state;

        assert_false(tell_bytes(f, "D", 1));
        assert_string_equal(f->answer, "OK");
        assert_int_equal(f->n_detaches, 1);
        (void) teardown(state);
        (void) setup(state);
        f = *state;
        assert_false(tell_bytes(f, "k", 1));
        assert_int_equal(f->n_kills, 1);
}

static void test_the_end_of_the_machine_is_told(void **state) {
        Fixture *f = *state;

        assert_silent(f, "c");
        gdb_stub_ended(f->stub, 34);
        assert_string_equal(f->answer, "W22");
}

static void test_the_description_is_read_in_parts(void **state) {
        Fixture *f = *state;
        char all[12288], packet[64];
        size_t n = 0;

        for (;;) {
                (void) snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,200",
                                n);
                assert_true(tell_bytes(f, packet, strlen(packet)));
                assert_null(strchr(f->answer, '}')); /* nothing in it needs escaping */
                assert_true(n + strlen(f->answer) < sizeof(all));
                memcpy(all + n, f->answer + 1, strlen(f->answer));
                n += strlen(f->answer) - 1;
                if (f->answer[0] == 'l')
                        break;
                assert_int_equal(f->answer[0], 'm');
        }
        assert_string_equal(all, gdb_target_xml);
        assert_answers(f, "qXfer:features:read:target.xml:ffffff,1", "E16");
        assert_answers(f, "qXfer:features:read:other.xml:0,1", "");
}

static void test_a_lost_answer_is_sent_again_until_nothing_can_be_lost(void **state) {
        Fixture *f = *state;
        const uint8_t nack = '-';

        assert_answers(f, "qC", "QC1");
        assert_true(gdb_stub_receive(f->stub, &nack, 1));
        assert_int_equal(f->n_answers, 2);
        assert_answers(f, "QStartNoAckMode", "OK");
        assert_true(gdb_stub_receive(f->stub, &nack, 1));
        assert_int_equal(f->n_answers, 3);
}

static void test_there_is_no_answer_to_repeat_before_the_first(void **state) {
        Fixture *f = *state;

        assert_true(gdb_stub_receive(f->stub, (const uint8_t *) "-", 1));
        assert_int_equal(f->n_answers, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_threads_are_vcpus_from_1),
                TEST(test_registers_are_read_and_written_by_number),
                TEST(test_all_registers_have_the_length_of_the_description),
                TEST(test_control_registers_and_selectors_are_not_written),
                TEST(test_empty_x87_registers_have_a_tag_of_11),
                TEST(test_memory_is_read_as_far_as_it_goes),
                TEST(test_memory_is_written_in_digits_and_in_bytes),
                TEST(test_a_breakpoint_replaces_a_byte_and_gives_it_back),
                TEST(test_what_the_guest_wrote_over_a_breakpoint_stays),
                TEST(test_a_debugger_that_moves_rip_gets_no_software_breakpoints),
                TEST(test_there_are_four_hardware_breakpoints),
                TEST(test_each_vcpu_does_what_the_first_action_for_it_says),
                TEST(test_bad_actions_do_not_start_the_machine),
                TEST(test_a_stop_names_its_cause),
                TEST(test_an_interrupt_stops_a_running_machine_once),
                TEST(test_who_leaves_takes_the_breakpoints_along),
                TEST(test_detaching_and_killing_end_the_connection),
                TEST(test_the_end_of_the_machine_is_told),
                TEST(test_the_description_is_read_in_parts),
                TEST(test_a_lost_answer_is_sent_again_until_nothing_can_be_lost),
                TEST(test_there_is_no_answer_to_repeat_before_the_first),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
