/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "base/text_error.h"
#include "tests/fake/vmm_vfio_kernel.h"
#include "vmm/vfio/vfio_internal.h"

static const VfioHostFunction host = {.address = FAKE_VFIO_ADDRESS, .group = FAKE_VFIO_GROUP};

static int setup(void **state) {
        *state = fake_vfio_new();
        return 0;
}

static int teardown(void **state) {
        fake_vfio_free(*state);
        return 0;
}

static int open_function(const FakeVfio *fake, VfioContainer *container, TextError *reterr) {
        VfioGroup *group = NULL;
        int fd, r = vfio_container_open_function(container, fake->path, &host,
                                                 &fake->board->partition, &fd, &group, reterr);

        if (r >= 0)
                (void) fd_close(fd);
        return r;
}

static void test_guest_memory_is_mapped_where_the_guest_has_it_and_stays(void **state) {
        FakeVfio *fake = *state;
        _cleanup_(text_error_deinit) TextError why = {0};
        _cleanup_(vfio_container_freep) VfioContainer *container = NULL;
        const GuestMem *mem = fake->board->mem;
        uint8_t *page;

        assert_int_equal(vfio_container_new(&fake_vfio_ops, fake->board->mem, &container), 0);
        assert_int_equal(open_function(fake, container, &why), 0);
        assert_int_equal(fake->n_dma, 1);
        assert_int_equal(fake->dma[0].iova, mem->regions[0].gpa);
        assert_int_equal(fake->dma[0].size, mem->regions[0].size_bytes);
        assert_int_equal(fake->dma[0].vaddr, (uintptr_t) mem->regions[0].host);
        assert_int_equal(fake->dma[0].flags, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
        /* What the balloon or a loader gives back would be taken from under the device. */
        page = fake_host(fake->board, 0x5000, 4096);
        page[7] = 1;
        guest_mem_release(mem, 0x5000, 4096);
        assert_int_equal(page[7], 1);
        guest_mem_discard(mem, 0x5000, 4096);
        assert_int_equal(page[7], 0);
}

static void test_functions_of_one_group_join_once(void **state) {
        FakeVfio *fake = *state;
        _cleanup_(text_error_deinit) TextError why = {0};
        _cleanup_(vfio_container_freep) VfioContainer *container = NULL;

        assert_int_equal(vfio_container_new(&fake_vfio_ops, fake->board->mem, &container), 0);
        assert_int_equal(open_function(fake, container, &why), 0);
        assert_int_equal(open_function(fake, container, &why), 0);
        assert_int_equal(fake->n_groups, 1);
        assert_int_equal(fake->n_dma, 1);
        assert_int_equal(fake->n_opens, 4); /* container, group, twice the function */
}

static void
test_files_that_the_guest_has_as_memory_are_mapped_with_the_guests_rights(void **state) {
        FakeVfio *fake = *state;
        static uint8_t file[0x2000] __attribute__((aligned(4096)));
        static uint8_t rom[0x1000] __attribute__((aligned(4096)));
        _cleanup_(text_error_deinit) TextError why = {0};
        _cleanup_(vfio_container_freep) VfioContainer *container = NULL;
        unsigned index;

        assert_int_equal(
                guest_mem_add_file(fake->board->mem, UINT64_C(1) << 33, file, sizeof(file)), 0);
        assert_int_equal(
                guest_mem_add_rom(fake->board->mem, UINT64_C(1) << 34, rom, sizeof(rom), &index),
                0);
        assert_int_equal(vfio_container_new(&fake_vfio_ops, fake->board->mem, &container), 0);
        assert_int_equal(open_function(fake, container, &why), 0);
        assert_int_equal(fake->n_dma, 3);
        assert_int_equal(fake->dma[1].iova, UINT64_C(1) << 33);
        assert_int_equal(fake->dma[1].size, sizeof(file));
        assert_int_equal(fake->dma[1].vaddr, (uintptr_t) file);
        assert_int_equal(fake->dma[1].flags, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
        assert_int_equal(fake->dma[2].iova, UINT64_C(1) << 34);
        assert_int_equal(fake->dma[2].vaddr, (uintptr_t) rom);
        assert_int_equal(fake->dma[2].flags, VFIO_DMA_MAP_FLAG_READ);
}

/* ---- groups that come while the machine runs ---- */

static int open_sent(const FakeVfio *fake, VfioContainer *container, int group_fd,
                     VfioGroup **ret_group, TextError *reterr) {
        int fd, r = vfio_container_open_sent(container, group_fd, FAKE_VFIO_ADDRESS,
                                             &fake->board->partition, &fd, ret_group, reterr);

        if (r >= 0)
                (void) fd_close(fd);
        return r;
}

static void test_a_group_that_was_sent_leaves_with_its_last_function(void **state) {
        FakeVfio *fake = *state;
        _cleanup_(text_error_deinit) TextError why = {0};
        _cleanup_(vfio_container_freep) VfioContainer *container = NULL;
        VfioGroup *first, *second;

        assert_int_equal(vfio_container_new(&fake_vfio_ops, fake->board->mem, &container), 0);
        assert_int_equal(vfio_container_open(container, &why), 0);
        for (unsigned i = 0; i < 3 * VFIO_FUNCTIONS_MAX; i++) {
                assert_int_equal(
                        open_sent(fake, container, fake_vfio_ops.open("/dev/vfio/7"), &first, &why),
                        0);
                assert_int_equal(open_sent(fake, container, -EBADF, &second, &why), 0);
                assert_ptr_equal(first, second);
                assert_int_equal(fake->n_groups, 1);
                assert_int_equal(fake->n_dma, 1);
                assert_true(fake->board->mem->pinned);
                vfio_container_close_function(container, first, &fake->board->partition);
                assert_int_equal(fake->n_joined, 1);
                vfio_container_close_function(container, second, &fake->board->partition);
                assert_int_equal(fake->n_joined, 0);
                assert_int_equal(fake->n_groups, 0);
                assert_false(fake->board->mem->pinned);
        }
}

static void test_no_more_groups_come_than_there_is_room_for(void **state) {
        FakeVfio *fake = *state;
        _cleanup_(text_error_deinit) TextError why = {0};
        _cleanup_(vfio_container_freep) VfioContainer *container = NULL;
        VfioGroup *group;

        assert_int_equal(vfio_container_new(&fake_vfio_ops, fake->board->mem, &container), 0);
        assert_int_equal(vfio_container_open(container, &why), 0);
        assert_int_equal(open_sent(fake, container, -EBADF, &group, &why), -ENODEV);
        assert_non_null(strstr(why.message, "no IOMMU group that the machine has"));
        for (unsigned i = 0; i < VFIO_FUNCTIONS_MAX; i++)
                assert_int_equal(
                        open_sent(fake, container, fake_vfio_ops.open("/dev/vfio/7"), &group, &why),
                        0);
        assert_int_equal(
                open_sent(fake, container, fake_vfio_ops.open("/dev/vfio/7"), &group, &why),
                -ENOSPC);
        assert_int_equal(fake->n_joined, VFIO_FUNCTIONS_MAX);
}

/* What a client sent may be anything, and leaves nothing behind when it is refused. */
static void test_a_sent_group_that_the_host_refuses_leaves_nothing(void **state) {
        static const unsigned long requests[] = {
                VFIO_GROUP_GET_STATUS, VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU,
                VFIO_IOMMU_MAP_DMA,    VFIO_GROUP_GET_DEVICE_FD,
        };
        FakeVfio *fake = *state;
        _cleanup_(vfio_container_freep) VfioContainer *container = NULL;
        _cleanup_(text_error_deinit) TextError none = {0};
        VfioGroup *group;

        assert_int_equal(vfio_container_new(&fake_vfio_ops, fake->board->mem, &container), 0);
        assert_int_equal(vfio_container_open(container, &none), 0);
        for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
                _cleanup_(text_error_deinit) TextError why = {0};

                fake->refused_request = requests[i];
                fake->refused = -ENOTTY;
                assert_int_equal(
                        open_sent(fake, container, fake_vfio_ops.open("/dev/vfio/7"), &group, &why),
                        -ENOTTY);
                assert_non_null(why.message);
                assert_int_equal(fake->n_joined, 0);
                assert_int_equal(fake->n_groups, 0);
        }
        fake->refused_request = 0;
        assert_int_equal(
                open_sent(fake, container, fake_vfio_ops.open("/dev/vfio/7"), &group, &none), 0);
        assert_int_equal(fake->n_dma, 1);
}

/* A host that refuses one thing. */
typedef struct Refusal {
        const char *path;
        unsigned long request;
        int error;
        const char *text;
} Refusal;

static void check_refusal(const Refusal *refusal) {
        FakeVfio *fake = fake_vfio_new();
        _cleanup_(text_error_deinit) TextError why = {0};
        _cleanup_(vfio_container_freep) VfioContainer *container = NULL;

        fake->refused_path = refusal->path;
        fake->refused_request = refusal->request;
        fake->refused = refusal->error;
        assert_int_equal(vfio_container_new(&fake_vfio_ops, fake->board->mem, &container), 0);
        assert_int_equal(open_function(fake, container, &why), refusal->error);
        assert_non_null(strstr(text_error_message(&why, refusal->error), refusal->text));
        fake_vfio_free(fake);
}

static void test_each_refusal_of_the_host_says_what_and_why(void **state) {
        static const Refusal refusals[] = {
                {"/dev/vfio/vfio", 0, -ENOENT, "load its module vfio-pci"},
                {"/dev/vfio/vfio", 0, -EACCES, "cannot open /dev/vfio/vfio"},
                {"/dev/vfio/7", 0, -EBUSY, "another process has it"},
                {"/dev/vfio/7", 0, -EACCES, "cannot open /dev/vfio/7"},
                {NULL, VFIO_GROUP_GET_STATUS, -ENOTTY, "IOMMU group 7"},
                {NULL, VFIO_GROUP_SET_CONTAINER, -EINVAL, "its IOMMU group"},
                {NULL, VFIO_SET_IOMMU, -EPERM, "allow_unsafe_interrupts"},
                {NULL, VFIO_SET_IOMMU, -EIO, "the host's IOMMU refuses"},
                {NULL, VFIO_IOMMU_MAP_DMA, -EINVAL, "cannot map guest memory, 16 MiB at 0x0"},
                {NULL, VFIO_GROUP_GET_DEVICE_FD, -ENODEV, "cannot open " FAKE_VFIO_ADDRESS},
        };

        for (size_t i = 0; i < ELEMENTSOF(refusals); i++)
                check_refusal(&refusals[i]);
}

static void test_a_limit_of_locked_memory_is_named(void **state) {
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
        limit.rlim_cur = MIN(limit.rlim_max, (rlim_t) 8192 << 10);
        assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
        check_refusal(&(Refusal){NULL, VFIO_IOMMU_MAP_DMA, -ENOMEM, "RLIMIT_MEMLOCK"});
}

static void test_a_group_of_which_the_host_has_a_part_is_refused(void **state) {
        FakeVfio *fake = *state;
        _cleanup_(text_error_deinit) TextError why = {0};
        _cleanup_(vfio_container_freep) VfioContainer *container = NULL;

        fake->group_flags = 0;
        fake_vfio_link(fake, "../../nvme", "devices/" FAKE_VFIO_ADDRESS "/driver");
        assert_int_equal(vfio_container_new(&fake_vfio_ops, fake->board->mem, &container), 0);
        assert_int_equal(open_function(fake, container, &why), -EBUSY);
        assert_non_null(strstr(why.message, FAKE_VFIO_ADDRESS " (nvme)"));
        assert_false(fake->board->mem->pinned);
}

static void test_a_vfio_of_another_time_is_refused(void **state) {
        FakeVfio *fake = *state;
        _cleanup_(text_error_deinit) TextError why = {0};
        _cleanup_(vfio_container_freep) VfioContainer *container = NULL;

        fake->api_version = VFIO_API_VERSION + 1;
        assert_int_equal(vfio_container_new(&fake_vfio_ops, fake->board->mem, &container), 0);
        assert_int_equal(open_function(fake, container, &why), -EOPNOTSUPP);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        test_guest_memory_is_mapped_where_the_guest_has_it_and_stays, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(test_functions_of_one_group_join_once, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_files_that_the_guest_has_as_memory_are_mapped_with_the_guests_rights,
                        setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_group_that_was_sent_leaves_with_its_last_function, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_more_groups_come_than_there_is_room_for,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_sent_group_that_the_host_refuses_leaves_nothing, setup, teardown),
                cmocka_unit_test(test_each_refusal_of_the_host_says_what_and_why),
                cmocka_unit_test(test_a_limit_of_locked_memory_is_named),
                cmocka_unit_test_setup_teardown(
                        test_a_group_of_which_the_host_has_a_part_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_vfio_of_another_time_is_refused, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
