/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same small guests on every backend that this machine has: registers, memory and what reached the machine must be
 * equal. Real mode and plain instructions only, so that they also run where KVM interprets them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/kvm/kvm.h"
#include "vmm/hv/soft/soft.h"

#define STOP_PORT 0xf4
#define DATA 0x3000u
#define DATA_SIZE 0x40u
#define DATA_BYTES "\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x00"
#define FLAGS_KEPT 0x8d5u /* arithmetic, which every instruction of a table defines at its end */

/* Each ends in `out %al, $STOP_PORT; jmp .`, which the runner appends. */
typedef struct Snippet {
        const char *name, *code;
        size_t len;
        uint64_t flags;       /* compared */
        bool not_interpreted; /* by KVM, where it cannot run the guest itself */
} Snippet;
#define SNIPPET(name, code, flags, ...)                                                            \
        { name, code, sizeof(code) - 1, flags, ##__VA_ARGS__ }

static const Snippet snippets[] = {
        SNIPPET("add with carry out", "\xb8\xff\xff\x05\x01\x00", FLAGS_KEPT),
        SNIPPET("subtract with borrow", "\xf9\xb8\x00\x80\x1d\x00\x00", FLAGS_KEPT),
        SNIPPET("32-bit add in 16-bit code", "\x66\xb8\xff\xff\xff\x7f\x66\x83\xc0\x01",
                FLAGS_KEPT),
        SNIPPET("decimal adjust", "\xb0\x79\x04\x35\x27", 0xd5, true),
        SNIPPET("ascii adjust", "\xb8\x05\x00\x04\x08\x37", 0x11, true),
        SNIPPET("unpack by ten", "\xb0\x4f\xd4\x0a", 0xc4),
        SNIPPET("multiply", "\xb8\x34\x12\xbb\x78\x56\xf7\xe3", 0x801),
        SNIPPET("divide", "\xba\x01\x00\xb8\x45\x23\xbb\x00\x10\xf7\xf3", 0),
        SNIPPET("rotate through carry", "\xf9\xb8\x01\x80\xd1\xd0\xd1\xd8", 0x1),
        SNIPPET("shift left by one", "\xb8\x00\xc0\xd1\xe0", 0x8c5),
        SNIPPET("sign extension", "\xb0\x80\x98\x99", 0),
        SNIPPET("push and pop", "\xb8\x34\x12\x50\x5b\x53\x89\xe1", 0),
        SNIPPET("push all", "\xb8\x01\x00\xb9\x02\x00\x60\x61", 0),
        SNIPPET("enter and leave", "\xc8\x08\x00\x00\x89\xe8\xc9", 0),
        SNIPPET("call and return", "\xe8\x02\x00\xeb\x04\xb8\x07\x00\xc3\x40", 0),
        SNIPPET("loop", "\xb9\x05\x00\x31\xc0\x01\xc8\xe2\xfc", FLAGS_KEPT),
        SNIPPET("copy a string", "\xbe\x00\x30\xbf\x10\x30\xb9\x08\x00\xfc\xf3\xa5", 0),
        SNIPPET("copy a string down", "\xbe\x0f\x30\xbf\x1f\x30\xb9\x08\x00\xfd\xf3\xa4\xfc", 0),
        SNIPPET("compare strings", "\xbe\x00\x30\xbf\x02\x30\xb9\x08\x00\xfc\xf3\xa6", FLAGS_KEPT),
        SNIPPET("search a byte", "\xbf\x00\x30\xb0\x77\xb9\x10\x00\xfc\xf2\xae", FLAGS_KEPT),
        SNIPPET("store a string", "\xbf\x20\x30\xb8\xcd\xab\xb9\x06\x00\xfc\xf3\xab", 0),
        SNIPPET("exchange with memory", "\xb8\xef\xbe\x87\x06\x00\x30", 0),
        SNIPPET("based and indexed address", "\xbb\x00\x30\xbe\x03\x00\x8b\x40\x01", 0),
        SNIPPET("scaled index", "\x66\xbb\x00\x30\x00\x00\x66\xb9\x02\x00\x00\x00\x67\x8a\x04\x8b",
                0),
        SNIPPET("byte to word", "\x0f\xb6\x06\x08\x30\x0f\xbe\x1e\x08\x30", 0),
        SNIPPET("bit test and set", "\xb8\x05\x00\x0f\xab\x06\x00\x30", 0x1),
        SNIPPET("first bit set", "\xb8\x50\x00\x0f\xbc\xd8\x0f\xbd\xc8", 0x40),
        SNIPPET("conditional set", "\xb8\x05\x00\x3d\x06\x00\x0f\x92\xc3\x0f\x9f\xc7", FLAGS_KEPT),
        SNIPPET("flags through AH", "\xb4\xd5\x9e\x9f", 0xd5),
        SNIPPET("flags through the stack", "\x68\xd7\x08\x9d\x9c\x58\x25\xd5\x0c", 0),
        SNIPPET("far jump in segments", "\xea\x07\x00\x00\x01\x40\x40\x8c\xc8", 0),
        SNIPPET("software interrupt",
                "\xc7\x06\xc4\x00\x11\x10" /* mov word [0x31 * 4], handler */
                "\xc7\x06\xc6\x00\x00\x00"
                "\xcd\x31\x40\xeb\x04" /* int 0x31; inc ax; jmp over the handler */
                "\xb8\x41\x00\xcf",
                0),
};

typedef struct Outcome {
        VcpuRegisters registers;
        HaltReason halt;
        uint8_t data[DATA_SIZE];
        unsigned n_events;
} Outcome;

static void run_on(const HvOps *hv, const Snippet *snippet, Outcome *ret) {
        static const uint8_t end[] = {0xe6, STOP_PORT, 0xeb, 0xfe};
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;
        VcpuRegisters start;
        uint8_t code[64];

        assert_true(snippet->len + sizeof(end) <= sizeof(code));
        memcpy(code, snippet->code, snippet->len);
        memcpy(code + snippet->len, end, sizeof(end));
        assert_int_equal(tiny_guest_new(hv, 1, &guest, NULL), 0);
        guest->stop_port = STOP_PORT;
        assert_int_equal(guest_mem_write(guest->mem, DATA, DATA_BYTES, 16), 0);
        assert_int_equal(tiny_guest_start(guest, code, snippet->len + sizeof(end)), 0);
        /* RDX tells which processor it is. */
        assert_int_equal(guest->vcpu->ops->get_state(guest->vcpu, VCPU_STATE_REGISTERS, &start), 0);
        start.rdx = 0;
        assert_int_equal(guest->vcpu->ops->set_state(guest->vcpu, VCPU_STATE_REGISTERS, &start), 0);
        *ret = (Outcome){.halt = tiny_guest_run(guest)};
        ret->n_events = atomic_load(&guest->n_events);
        assert_int_equal(
                guest->vcpu->ops->get_state(guest->vcpu, VCPU_STATE_REGISTERS, &ret->registers), 0);
        assert_int_equal(guest_mem_read(guest->mem, DATA, ret->data, DATA_SIZE), 0);
        ret->registers.rflags &= snippet->flags;
}

static bool kvm_is_usable(void) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;

        return access("/dev/kvm", R_OK | W_OK) == 0 &&
               tiny_guest_new(&kvm_hv_ops, 1, &guest, &error) == 0;
}

static void test_backends_agree(void **state) {
        unsigned different = 0;

        if (!kvm_is_usable()) {
                print_message("no usable /dev/kvm on this machine, skipping\n");
                skip();
        }
        for (unsigned i = 0; i < sizeof(snippets) / sizeof(snippets[0]); i++) {
                Outcome soft, kvm;

                run_on(&soft_hv_ops, &snippets[i], &soft);
                run_on(&kvm_hv_ops, &snippets[i], &kvm);
                if (memcmp(&soft, &kvm, sizeof(soft)) == 0 ||
                    (snippets[i].not_interpreted && kvm.halt != HALT_STOP))
                        continue;
                different++;
                printf("%s: halt %d %d, rip %#lx %#lx, rax %#lx %#lx, rbx %#lx %#lx, rcx %#lx "
                       "%#lx, "
                       "rdx %#lx %#lx, flags %#lx %#lx\n",
                       snippets[i].name, (int) soft.halt, (int) kvm.halt,
                       (unsigned long) soft.registers.rip, (unsigned long) kvm.registers.rip,
                       (unsigned long) soft.registers.rax, (unsigned long) kvm.registers.rax,
                       (unsigned long) soft.registers.rbx, (unsigned long) kvm.registers.rbx,
                       (unsigned long) soft.registers.rcx, (unsigned long) kvm.registers.rcx,
                       (unsigned long) soft.registers.rdx, (unsigned long) kvm.registers.rdx,
                       (unsigned long) soft.registers.rflags, (unsigned long) kvm.registers.rflags);
        }
        assert_int_equal(different, 0);
}

/* What KVM is compared with must itself have ended where it should. */
static void test_every_snippet_ends_by_its_stop_port(void **state) {
        for (unsigned i = 0; i < sizeof(snippets) / sizeof(snippets[0]); i++) {
                Outcome soft;

                run_on(&soft_hv_ops, &snippets[i], &soft);
                if (soft.halt != HALT_STOP || soft.n_events != 1)
                        fail_msg("%s: halt %d after %u accesses", snippets[i].name, (int) soft.halt,
                                 soft.n_events);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_snippet_ends_by_its_stop_port),
                cmocka_unit_test(test_backends_agree),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
