/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/vhost.h>

#include "base/fd.h"
#include "tests/fake/vmm_kernel_vhost.h"

#define FEATURES (UINT64_C(1) << 32 | UINT64_C(1) << 28)

typedef struct Fixture {
        Loop *loop;
        GuestMem *mem;
        KernelVhost *fake;
        Vhost *vhost;
        unsigned n_errors, last_ring;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        VhostConfig config = {.ops = &kernel_vhost_fake_ops};

        assert_non_null(f);
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(guest_mem_new_below(4 << 20, 1 << 20, &f->mem), 0);
        f->fake = kernel_vhost_new(FEATURES);
        config.loop = f->loop;
        config.mem = f->mem;
        assert_int_equal(vhost_new_consume(f->fake->fd, &config, &f->vhost, NULL), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        vhost_free(f->vhost);
        kernel_vhost_free(f->fake);
        guest_mem_free(f->mem);
        loop_free(f->loop);
        free(f);
        return 0;
}

static void test_the_kernel_gets_no_worker_before_it_is_needed(void **state) {
        Fixture *f = *state;

        assert_true(vhost_features(f->vhost) == FEATURES);
        assert_int_equal(vhost_vsock_set_cid(f->vhost, 9, NULL), 0);
        assert_int_equal(f->fake->cid, 9);
        assert_false(f->fake->owned);
        assert_int_equal(vhost_begin(f->vhost, UINT64_C(1) << 32), 0);
        assert_int_equal(vhost_begin(f->vhost, FEATURES), 0);
        assert_int_equal(f->fake->n_owners, 1);
        assert_true(f->fake->features == FEATURES);
}

static void test_it_sees_all_memory_of_the_guest_and_no_other(void **state) {
        Fixture *f = *state;
        uint8_t *file = aligned_alloc(4096, 8192);

        assert_non_null(file);
        assert_int_equal(guest_mem_add_file(f->mem, UINT64_C(1) << 33, file, 8192), 0);
        assert_int_equal(vhost_begin(f->vhost, FEATURES), 0);
        assert_int_equal(f->fake->n_regions, 3);
        for (unsigned i = 0; i < 3; i++) {
                assert_true(f->fake->regions[i][0] == f->mem->regions[i].gpa);
                assert_true(f->fake->regions[i][1] == f->mem->regions[i].size_bytes);
                assert_true(f->fake->regions[i][2] == (uintptr_t) f->mem->regions[i].host);
        }
        free(file);
}

static VhostRingSetup a_ring(const Fixture *f) {
        return (VhostRingSetup){
                .size = 64,
                .base = 7,
                .desc = f->mem->base,
                .avail = f->mem->base + 4096,
                .used = f->mem->base + 8192,
                .kick_fd = eventfd(0, EFD_CLOEXEC),
                .call_fd = eventfd(0, EFD_CLOEXEC),
        };
}

static void close_ring(const VhostRingSetup *ring) {
        fd_close(ring->kick_fd);
        fd_close(ring->call_fd);
}

static void test_a_ring_is_described_whole_and_its_place_comes_back(void **state) {
        Fixture *f = *state;
        VhostRingSetup ring = a_ring(f);
        uint16_t base = 0;

        assert_int_equal(vhost_begin(f->vhost, FEATURES), 0);
        assert_int_equal(vhost_ring_set(f->vhost, 1, &ring), 0);
        assert_int_equal(f->fake->rings[1].size, 64);
        assert_int_equal(f->fake->rings[1].kick_fd, ring.kick_fd);
        assert_int_equal(f->fake->rings[1].call_fd, ring.call_fd);
        assert_true(f->fake->rings[1].avail == (uintptr_t) ring.avail);
        assert_int_equal(vhost_net_attach(f->vhost, 1, 0), 0);
        assert_int_equal(f->fake->rings[1].backend, 0);
        assert_int_equal(vhost_net_attach(f->vhost, 1, -1), 0);
        assert_int_equal(vhost_ring_base(f->vhost, 1, &base), 0);
        assert_int_equal(base, 7);
        close_ring(&ring);
}

static void note_error(void *userdata, unsigned ring) {
        Fixture *f = userdata;

        f->n_errors++;
        f->last_ring = ring;
        loop_exit(f->loop);
}

static void test_errors_of_a_ring_are_told(void **state) {
        Fixture *f = *state;
        VhostRingSetup rings[] = {a_ring(f), a_ring(f)};

        vhost_set_handler(f->vhost, note_error, f);
        assert_int_equal(vhost_begin(f->vhost, FEATURES), 0);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(vhost_ring_set(f->vhost, i, &rings[i]), 0);
        kernel_vhost_fail(f->fake, 1);
        assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(f->n_errors, 1);
        assert_int_equal(f->last_ring, 1);
        close_ring(&rings[0]);
        close_ring(&rings[1]);
}

static void refuse(Fixture *f, unsigned long request, int error) {
        f->fake->refuse = request;
        f->fake->refuse_errno = error;
}

static void test_what_the_kernel_refuses_is_passed_on(void **state) {
        static const unsigned long begin[] = {VHOST_SET_OWNER, VHOST_SET_FEATURES,
                                              VHOST_SET_MEM_TABLE};
        static const unsigned long ring_set[] = {VHOST_SET_VRING_NUM,  VHOST_SET_VRING_BASE,
                                                 VHOST_SET_VRING_ADDR, VHOST_SET_VRING_ERR,
                                                 VHOST_SET_VRING_CALL, VHOST_SET_VRING_KICK};
        Fixture *f = *state;
        VhostRingSetup ring = a_ring(f);

        for (size_t i = 0; i < ELEMENTSOF(begin); i++) {
                refuse(f, begin[i], ENOMEM);
                assert_int_equal(vhost_begin(f->vhost, FEATURES), -ENOMEM);
        }
        refuse(f, 0, 0);
        assert_int_equal(vhost_begin(f->vhost, FEATURES), 0);
        for (size_t i = 0; i < ELEMENTSOF(ring_set); i++) {
                refuse(f, ring_set[i], EFAULT);
                assert_int_equal(vhost_ring_set(f->vhost, 0, &ring), -EFAULT);
        }
        close_ring(&ring);
}

static void test_a_context_id_of_another_vm_is_named(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};
        Fixture *f = *state;

        kernel_vhost_refuse(f->fake, KERNEL_VHOST_SET_CID, EADDRINUSE);
        assert_int_equal(vhost_vsock_set_cid(f->vhost, 77, &error), -EADDRINUSE);
        assert_string_equal(error.message, "context id 77 belongs to another VM of this host");
}

static void test_what_is_no_vhost_device_is_refused(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0}, other = {0};
        Fixture *f = *state;
        const VhostConfig config = {.ops = &vhost_kernel_ops, .loop = f->loop, .mem = f->mem};
        Vhost *vhost = NULL;
        int fd;

        assert_int_equal(vhost_open("/dev/null", &fd, NULL), 0);
        assert_int_equal(vhost_new_consume(fd, &config, &vhost, &error), -ENOTTY);
        assert_non_null(strstr(error.message, "is no vhost device"));
        assert_int_equal(vhost_open("/nosuchfile", &fd, &other), -ENOENT);
        assert_non_null(strstr(other.message, "cannot open /nosuchfile"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_the_kernel_gets_no_worker_before_it_is_needed),
                TEST(test_it_sees_all_memory_of_the_guest_and_no_other),
                TEST(test_a_ring_is_described_whole_and_its_place_comes_back),
                TEST(test_errors_of_a_ring_are_told),
                TEST(test_what_the_kernel_refuses_is_passed_on),
                TEST(test_a_context_id_of_another_vm_is_named),
                TEST(test_what_is_no_vhost_device_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
