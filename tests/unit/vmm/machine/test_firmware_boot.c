/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "base/log.h"
#include "tests/fake/vmm_disk.h"
#include "tests/fake/vmm_hv_fake.h"
#include "tests/fake/vmm_kernel_image.h"
#include "vmm/firmware/fw_cfg.h"
#include "vmm/machine/machine.h"
#include "vmm/mem/memmap.h"

#define FW_CFG_SELECTOR 0x510u
#define FW_CFG_DATA 0x511u
#define BIOS_SIZE 0x20000u
#define N_VCPUS 3u

typedef struct Fixture {
        VmmConfig config;
        int bios_fd, kernel_fd;
        Machine *machine;
        TextError error;
} Fixture;

/* What firmware reads on vCPU 0; asserted when the machine has ended, on the test's own thread. */
static struct {
        uint64_t ram, n_vcpus, kernel_size, setup_size, cmdline_size;
        uint8_t kernel[64];
        char cmdline[128];
        char names[FW_CFG_FILES_MAX][FW_CFG_NAME_SIZE];
        unsigned keys[FW_CFG_FILES_MAX], sizes[FW_CFG_FILES_MAX];
        char boot_order[256];
        unsigned n_names;
} seen;

static uint64_t read_number(const CpuIo *io, unsigned key, unsigned size) {
        uint64_t value = 0;

        io->pio_write(io->machine, FW_CFG_SELECTOR, 2, key);
        for (unsigned i = 0; i < size; i++)
                value |= io->pio_read(io->machine, FW_CFG_DATA, 1) << (8 * i);
        return value;
}

static void read_bytes(const CpuIo *io, void *to, size_t len) {
        for (size_t i = 0; i < len; i++)
                ((uint8_t *) to)[i] = (uint8_t) io->pio_read(io->machine, FW_CFG_DATA, 1);
}

static void read_item(const CpuIo *io, unsigned key, void *to, size_t len) {
        io->pio_write(io->machine, FW_CFG_SELECTOR, 2, key);
        read_bytes(io, to, len);
}

/* Big-endian: a count, then size, key, a hole and the name of each. */
static void read_directory(const CpuIo *io) {
        uint8_t count[4], head[8];

        read_item(io, FW_CFG_FILE_DIR, count, sizeof(count));
        for (unsigned i = 0; i < count[3] && i < FW_CFG_FILES_MAX; i++) {
                read_bytes(io, head, sizeof(head));
                seen.sizes[seen.n_names] = (unsigned) head[2] << 8 | head[3];
                seen.keys[seen.n_names] = (unsigned) head[4] << 8 | head[5];
                read_bytes(io, seen.names[seen.n_names++], FW_CFG_NAME_SIZE);
        }
}

static HaltReason script_firmware(unsigned index, const CpuIo *io) {
        if (index != 0)
                return HALT_NONE;
        seen.ram = read_number(io, FW_CFG_RAM_SIZE, 8);
        seen.n_vcpus = read_number(io, FW_CFG_NB_CPUS, 2);
        seen.setup_size = read_number(io, FW_CFG_SETUP_SIZE, 4);
        seen.kernel_size = read_number(io, FW_CFG_KERNEL_SIZE, 4);
        seen.cmdline_size = read_number(io, FW_CFG_CMDLINE_SIZE, 4);
        read_item(io, FW_CFG_KERNEL_DATA, seen.kernel, sizeof(seen.kernel));
        if (seen.cmdline_size < sizeof(seen.cmdline))
                read_item(io, FW_CFG_CMDLINE_DATA, seen.cmdline, seen.cmdline_size);
        read_directory(io);
        for (unsigned i = 0; i < seen.n_names; i++)
                if (strcmp(seen.names[i], "bootorder") == 0)
                        read_item(io, seen.keys[i], seen.boot_order,
                                  MIN(seen.sizes[i], sizeof(seen.boot_order)));
        return HALT_POWER_OFF;
}

static int setup(void **state) {
        static uint8_t bios[BIOS_SIZE];
        Fixture *fixture = calloc(1, sizeof(*fixture));

        hv_fake_reset();
        log_set_level(LOG_LEVEL_ERROR);
        memset(&seen, 0, sizeof(seen));
        fixture->bios_fd = fd_memfd_from("bios", bios, sizeof(bios));
        assert_true(fixture->bios_fd >= 0);
        assert_int_equal(fd_set_cloexec(fixture->bios_fd, false), 0);
        fixture->kernel_fd = -EBADF;
        vmm_config_init(&fixture->config);
        assert_true(asprintf(&fixture->config.bios, "/proc/self/fd/%d", fixture->bios_fd) > 0);
        fixture->config.memory_bytes = KERNEL_IMAGE_RAM;
        fixture->config.n_vcpus = N_VCPUS;
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        (void) machine_free(fixture->machine);
        vmm_config_deinit(&fixture->config);
        text_error_deinit(&fixture->error);
        (void) fd_close(fixture->bios_fd);
        (void) fd_close(fixture->kernel_fd);
        free(fixture);
        return 0;
}

static void give_kernel(Fixture *fixture) {
        StrBuf elf = {0};

        kernel_image_make(&elf, UNPACK_FORMAT_UNKNOWN);
        fixture->kernel_fd = fd_memfd_from("kernel", elf.data, elf.len);
        strbuf_deinit(&elf);
        assert_true(fixture->kernel_fd >= 0);
        assert_int_equal(fd_set_cloexec(fixture->kernel_fd, false), 0);
        assert_true(asprintf(&fixture->config.kernel, "/proc/self/fd/%d", fixture->kernel_fd) > 0);
}

static void run(Fixture *fixture) {
        HaltReason reason = HALT_NONE;
        int r;

        hv_fake()->script = script_firmware;
        r = machine_new(&fixture->config, &hv_fake_ops, &fixture->machine, &fixture->error);
        if (r >= 0)
                r = machine_run(fixture->machine, &reason, &fixture->error);
        if (r < 0)
                fail_msg("%s", text_error_message(&fixture->error, r));
        assert_int_equal(reason, HALT_POWER_OFF);
}

static bool has_file(const char *name) {
        for (unsigned i = 0; i < seen.n_names; i++)
                if (strcmp(seen.names[i], name) == 0)
                        return true;
        return false;
}

static void test_processors_start_at_the_reset_vector(void **state) {
        run(*state);
        for (unsigned i = 0; i < N_VCPUS; i++) {
                assert_int_equal(hv_fake()->registers[i].rip, 0); /* not set: as RESET# left it */
                assert_int_equal(hv_fake()->system_registers[i].cr0, 0);
        }
}

static void test_firmware_is_told_about_the_board(void **state) {
        run(*state);
        assert_int_equal(seen.ram, KERNEL_IMAGE_RAM);
        assert_int_equal(seen.n_vcpus, N_VCPUS);
        assert_true(has_file("etc/e820"));
        assert_true(has_file("etc/acpi/tables"));
        assert_true(has_file("etc/acpi/rsdp"));
        assert_true(has_file("etc/table-loader"));
        assert_true(has_file("etc/smbios/smbios-tables"));
        assert_true(has_file("etc/system-states"));
        assert_false(has_file("bootorder"));
}

static void test_without_a_kernel_none_is_served(void **state) {
        run(*state);
        assert_int_equal(seen.kernel_size, 0);
        assert_int_equal(seen.cmdline_size, 0);
}

static void test_a_kernel_is_served_for_the_firmware_to_load(void **state) {
        Fixture *fixture = *state;
        struct stat st;
        uint8_t head[sizeof(seen.kernel)];

        give_kernel(fixture);
        run(fixture);
        assert_int_equal(fstat(fixture->kernel_fd, &st), 0);
        assert_int_equal(seen.setup_size, 0);
        assert_int_equal(seen.kernel_size, st.st_size);
        assert_int_equal(pread(fixture->kernel_fd, head, sizeof(head), 0), sizeof(head));
        assert_memory_equal(seen.kernel, head, sizeof(head));
        assert_int_equal(seen.cmdline_size, strlen(seen.cmdline) + 1);
        assert_true(has_file("bootorder"));
}

static void give_disk(VmmDisk *disk, const char *path, int boot_index) {
        vmm_disk_init(disk);
        disk->path = strdup(path);
        disk->boot_index = boot_index;
        disk->lock = false;
        assert_non_null(disk->path);
}

static void test_disks_of_both_kinds_are_in_one_boot_order(void **state) {
        _cleanup_(temp_file_freep) char *path = temp_file_new(NULL, 0, UINT64_C(1) << 20);
        Fixture *fixture = *state;
        VmmConfig *config = &fixture->config;
        unsigned block, scsi, target;

        config->scsi_disks = calloc(VMM_SCSI_DISKS_MAX, sizeof(VmmDisk));
        assert_non_null(config->scsi_disks);
        give_disk(&config->disks[config->n_disks++], path, 5);
        for (int i = 0; i < 12; i++)
                give_disk(&config->scsi_disks[config->n_scsi_disks++], path, i == 11 ? 2 : -1);
        give_disk(&config->scsi_disks[config->n_scsi_disks++], path, 9);
        run(fixture);
        assert_int_equal(sscanf(seen.boot_order,
                                "/pci@i0cf8/scsi@%x/channel@0/disk@%x,0\n"
                                "/pci@i0cf8/scsi@%x/disk@0,0\n",
                                &scsi, &target, &block),
                         3);
        assert_int_equal(target, 11); /* hexadecimal */
        assert_int_not_equal(block, scsi);
        assert_non_null(strstr(seen.boot_order, "/disk@0,0\n/pci@"));
        assert_non_null(strstr(seen.boot_order, "/channel@0/disk@c,0\n"));
}

static void test_an_image_that_cannot_be_firmware_is_named(void **state) {
        Fixture *fixture = *state;
        static const uint8_t bytes[5000];
        const int fd = fd_memfd_from("odd", bytes, sizeof(bytes));

        assert_int_equal(dup2(fd, fixture->bios_fd), fixture->bios_fd);
        (void) fd_close(fd);
        assert_int_equal(
                machine_new(&fixture->config, &hv_fake_ops, &fixture->machine, &fixture->error),
                -EINVAL);
        assert_non_null(strstr(fixture->error.message, "loading firmware /proc/self/fd/"));
        assert_non_null(strstr(fixture->error.message, "it has 5000 bytes"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_processors_start_at_the_reset_vector),
                TEST(test_firmware_is_told_about_the_board),
                TEST(test_without_a_kernel_none_is_served),
                TEST(test_a_kernel_is_served_for_the_firmware_to_load),
                TEST(test_disks_of_both_kinds_are_in_one_boot_order),
                TEST(test_an_image_that_cannot_be_firmware_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
