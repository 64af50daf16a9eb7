/* SPDX-License-Identifier: Apache-2.0 */
/* Bus locks as KVM tells of them, on a run page of the test's; and hosts that cannot. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/fd.h"
#include "vmm/hv/kvm/kvm.h"
#include "vmm/hv/kvm/kvm_internal.h"

#define HOUR (3600 * NSEC_PER_SEC)

typedef struct Fixture {
        KvmPartition partition;
        KvmVcpuSlot slot;
        KvmVcpu vcpu;
        struct kvm_run run;
        CpuIo io;
        uint64_t counted;
        uint8_t eoi;
} Fixture;

static void count_bus_locks(void *machine, uint64_t n) {
        ((Fixture *) machine)->counted += n;
}

static void handle_eoi(void *machine, uint8_t vector) {
        ((Fixture *) machine)->eoi = vector;
}

static int setup(void **state) {
        static Fixture f;

        memset(&f, 0, sizeof(f));
        bus_lock_limit_init(&f.partition.bus_locks, 2);
        f.partition.bus_locks.window_nsec = HOUR;
        pthread_mutex_init(&f.slot.lock, NULL);
        kvm_bus_lock_init_slot(&f.slot);
        f.slot.run = f.vcpu.run = &f.run;
        f.slot.thread = pthread_self();
        f.slot.bound = true;
        f.partition.slots = f.vcpu.slot = &f.slot;
        f.vcpu.partition = &f.partition;
        f.io = (CpuIo){.machine = &f, .handle_eoi = handle_eoi, .count_bus_locks = count_bus_locks};
        (void) signal(KVM_KICK_SIGNAL, SIG_IGN);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        pthread_cond_destroy(&f->slot.kick);
        pthread_mutex_destroy(&f->slot.lock);
        bus_lock_limit_deinit(&f->partition.bus_locks);
        return 0;
}

static void test_a_bus_lock_may_be_an_exit_or_come_with_another(void **state) {
        Fixture *f = *state;

        f->run.exit_reason = KVM_EXIT_X86_BUS_LOCK;
        f->run.flags = KVM_RUN_X86_BUS_LOCK;
        assert_int_equal(kvm_vcpu_handle_exit(&f->vcpu, &f->io), HALT_NONE);
        assert_int_equal(f->counted, 1);
        assert_int_equal(f->vcpu.rest_until_nsec, 0);
        f->run.exit_reason = KVM_EXIT_IOAPIC_EOI;
        f->run.eoi.vector = 0x31;
        assert_int_equal(kvm_vcpu_handle_exit(&f->vcpu, &f->io), HALT_NONE);
        assert_int_equal(f->eoi, 0x31);
        assert_int_equal(f->counted, 2);
        assert_true(f->vcpu.rest_until_nsec > clock_monotonic_nsec());
}

static void test_other_exits_are_none(void **state) {
        Fixture *f = *state;

        f->run.exit_reason = KVM_EXIT_INTR;
        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(kvm_vcpu_handle_exit(&f->vcpu, &f->io), HALT_NONE);
        assert_int_equal(f->counted, 0);
        assert_int_equal(f->vcpu.rest_until_nsec, 0);
}

static void test_a_rest_that_is_over_is_none(void **state) {
        Fixture *f = *state;

        f->vcpu.rest_until_nsec = 1;
        assert_false(kvm_bus_lock_rest(&f->vcpu));
        assert_int_equal(f->vcpu.rest_until_nsec, 0);
}

static void *kick_when_it_rests(void *userdata) {
        Fixture *f = userdata;
        bool rests = false;

        while (!rests) {
                sched_yield();
                pthread_mutex_lock(&f->slot.lock);
                rests = f->slot.rests;
                pthread_mutex_unlock(&f->slot.lock);
        }
        kvm_vcpu_kick(&f->partition.base, 0);
        return NULL;
}

static void test_a_kick_interrupts_a_rest(void **state) {
        Fixture *f = *state;
        pthread_t thread;

        f->vcpu.rest_until_nsec = clock_monotonic_nsec() + HOUR;
        assert_int_equal(pthread_create(&thread, NULL, kick_when_it_rests, f), 0);
        assert_true(kvm_bus_lock_rest(&f->vcpu));
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(f->run.immediate_exit, 1);
        assert_true(f->vcpu.rest_until_nsec > clock_monotonic_nsec()); /* for when it goes on */
}

static void test_a_kick_before_a_rest_is_not_lost(void **state) {
        Fixture *f = *state;

        f->vcpu.rest_until_nsec = clock_monotonic_nsec() + HOUR;
        kvm_vcpu_kick(&f->partition.base, 0);
        assert_true(kvm_bus_lock_rest(&f->vcpu));
}

static void test_a_host_that_cannot_tell_refuses_by_name(void **state) {
        const HvConfig config = {.n_vcpus = 1, .threads_per_core = 1, .bus_locks_per_sec = 10};
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(fd_closep) int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        ProtoPartition *proto = NULL;
        int r;

        if (fd < 0)
                skip();
        r = kvm_hv_ops.proto_new(&config, &proto, &error);
        if (ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_BUS_LOCK_EXIT) &
            KVM_BUS_LOCK_DETECTION_EXIT) {
                assert_int_equal(r, 0);
                (void) proto_partition_free(proto);
                return;
        }
        assert_int_equal(r, -EOPNOTSUPP);
        assert_non_null(strstr(text_error_message(&error, r), "--bus-lock-ratelimit: "));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_bus_lock_may_be_an_exit_or_come_with_another),
                TEST(test_other_exits_are_none),
                TEST(test_a_rest_that_is_over_is_none),
                TEST(test_a_kick_interrupts_a_rest),
                TEST(test_a_kick_before_a_rest_is_not_lost),
                cmocka_unit_test(test_a_host_that_cannot_tell_refuses_by_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
