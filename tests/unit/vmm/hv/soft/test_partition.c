/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/soft/soft.h"

#define ROUNDS 40u
#define STOP_PORT 0x10u

/* out %al, $STOP_PORT; hlt */
static const uint8_t stop_code[] = {0xe6, STOP_PORT, 0xf4};

typedef struct Sender {
        Partition *partition;
        atomic_bool started, end;
} Sender;

static void send_all(Partition *partition) {
        const MsiMessage message = {.address = 0xfee00000, .data = 0x40};

        partition->ops->kick(partition, 0);
        (void) partition->ops->signal_msi(partition, &message);
        partition->ops->set_extint(partition, true);
        partition->ops->set_extint(partition, false);
        partition->ops->pulse_nmi(partition, 0);
}

static void *sender_main(void *userdata) {
        Sender *sender = userdata;

        do {
                send_all(sender->partition);
                atomic_store(&sender->started, true);
        } while (!atomic_load(&sender->end));
        return NULL;
}

/* One processor's thread ends while a device, or whoever halts the machine, is still sending to it. */
static void test_processor_may_be_signalled_while_its_thread_ends(void **state) {
        for (unsigned i = 0; i < ROUNDS; i++) {
                _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;
                Sender sender = {0};
                pthread_t thread;

                assert_int_equal(tiny_guest_new(&soft_hv_ops, 1, &guest, NULL), 0);
                guest->stop_port = STOP_PORT;
                assert_int_equal(tiny_guest_start(guest, stop_code, sizeof(stop_code)), 0);
                sender.partition = guest->partition;
                assert_int_equal(pthread_create(&thread, NULL, sender_main, &sender), 0);
                while (!atomic_load(&sender.started))
                        sched_yield();
                guest->vcpu = vcpu_free(guest->vcpu);
                send_all(guest->partition);
                atomic_store(&sender.end, true);
                assert_int_equal(pthread_join(thread, NULL), 0);
        }
}

static void test_processor_is_bound_once(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;
        Vcpu *again = NULL;

        assert_int_equal(tiny_guest_new(&soft_hv_ops, 1, &guest, NULL), 0);
        guest->stop_port = STOP_PORT;
        assert_int_equal(tiny_guest_start(guest, stop_code, sizeof(stop_code)), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->partition->ops->vcpu_bind(guest->partition, 0, &again), -EEXIST);
        guest->vcpu = vcpu_free(guest->vcpu);
        assert_int_equal(guest->partition->ops->vcpu_bind(guest->partition, 0, &again), -EEXIST);
        assert_int_equal(guest->partition->ops->vcpu_bind(guest->partition, 1, &again), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_processor_may_be_signalled_while_its_thread_ends),
                cmocka_unit_test(test_processor_is_bound_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
