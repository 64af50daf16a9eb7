/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/le.h"
#include "tests/fake/vmm_vhost_guest.h"
#include "vmm/virtio/devices.h"

/* Features and configuration by their numbers in virtio 1.2, so that a mistake in the device's is seen. */
#define BLK_SEG_MAX (UINT64_C(1) << 2)
#define BLK_SCSI (UINT64_C(1) << 7)
#define BLK_FLUSH (UINT64_C(1) << 9)
#define BLK_CONFIG_WCE (UINT64_C(1) << 11)
#define BLK_MQ (UINT64_C(1) << 12)
#define BLK_CONFIG_LEN 60u
#define NET_MAC (UINT64_C(1) << 5)
#define NET_MRG_RXBUF (UINT64_C(1) << 15)
#define NET_STATUS (UINT64_C(1) << 16)
#define NET_CTRL_VQ (UINT64_C(1) << 17)
#define VSOCK_EVENTS 2u
#define CONSOLE_SIZE (UINT64_C(1) << 0)
#define CONSOLE_MULTIPORT (UINT64_C(1) << 1)
#define CONSOLE_EMERG_WRITE (UINT64_C(1) << 2)
#define CONFIG_CHANGE 2u
#define STATUS 0x14
#define NEEDS_RESET 0x40

static VirtioVhostUserConfig config_of(const VhostGuest *f, uint16_t type) {
        return (VirtioVhostUserConfig){.type = type,
                                       .mem = f->board->mem,
                                       .loop = f->board->loop,
                                       .n_vcpus = 2,
                                       .name = "device"};
}

static void attach(VhostGuest *f, uint16_t type, const FakeVhostOptions *options) {
        const VirtioVhostUserConfig config = config_of(f, type);
        VirtioDevice *dev;

        assert_int_equal(virtio_vhost_user_new_consume(fake_vhost_connect_as(&f->process, options),
                                                       &config, &dev, NULL),
                         0);
        vhost_guest_attach(f, dev);
}

/* A disk of 1024 sectors with two queues and more segments than a request can have. */
static const uint8_t *disk_config(void) {
        static uint8_t config[BLK_CONFIG_LEN];

        le64_store(config, 1024);
        le32_store(config + 12, 100000);
        config[32] = 0;
        le16_store(config + 34, 2);
        return config;
}

static void attach_disk(VhostGuest *f) {
        attach(f, VIRTIO_TYPE_BLOCK,
               &(FakeVhostOptions){.features = BLK_SEG_MAX | BLK_SCSI | BLK_FLUSH | BLK_CONFIG_WCE |
                                               BLK_MQ,
                                   .n_queues = 2,
                                   .config = disk_config(),
                                   .config_len = BLK_CONFIG_LEN});
}

static void attach_card(VhostGuest *f) {
        attach(f, VIRTIO_TYPE_NET,
               &(FakeVhostOptions){.features = NET_MAC | NET_MRG_RXBUF | NET_CTRL_VQ,
                                   .n_queues = 2});
}

/* Drives @n_queues of the device's; the process has heard of all that are its own. */
static void start(VhostGuest *f, uint64_t features, unsigned n_queues, unsigned n_processed) {
        fake_driver_start(&f->driver, features, n_queues, true);
        for (unsigned i = 0; i < n_processed; i++)
                assert_true(fake_vhost_await(&f->process, VHOST_SET_VRING_ENABLE));
}

static void start_disk(VhostGuest *f) {
        attach_disk(f);
        start(f, BLK_FLUSH | BLK_CONFIG_WCE, 1, 1);
}

static void start_card(VhostGuest *f) {
        attach_card(f);
        start(f, NET_STATUS, 2, 2);
}

static void ask(VhostGuest *f, unsigned queue) {
        vhost_guest_ask(f, queue, 16, 513);
}

static void receive_into(VhostGuest *f, unsigned queue) {
        const FakeBuffer buffer = {f->in, 64, true};

        (void) fake_queue_add(f->driver.queues + queue, &buffer, 1);
        fake_queue_kick(f->driver.queues + queue);
}

/* The next request of the disk fails. */
static void assert_io_error(VhostGuest *f) {
        const uint8_t *status = fake_host(f->board, f->in, 513);
        uint16_t head;
        uint32_t len;

        assert_true(fake_queue_wait(f->driver.queues, &head, &len));
        assert_int_equal(status[512], 1);
}

static void begin_reset(VhostGuest *f) {
        fake_write(&f->driver, f->driver.common + STATUS, 1, 0);
}

static void assert_reset(VhostGuest *f) {
        assert_true(fake_driver_wait_status(&f->driver, 0xff, 0));
}

static void set_suspended(VhostGuest *f, bool suspended) {
        fake_board_stop(f->board);
        pci_root_set_suspended(f->board->root, suspended);
        fake_board_run(f->board);
}

/* ---- what is agreed ---- */

static void test_the_guest_is_offered_what_the_process_and_the_frontend_know(void **state) {
        VhostGuest *f = *state;

        attach_disk(f);
        fake_driver_negotiate(&f->driver, VIRTIO_F_VERSION_1 | BLK_FLUSH);
        assert_int_equal(f->driver.offered & 0xffffff,
                         BLK_SEG_MAX | BLK_FLUSH | BLK_CONFIG_WCE | BLK_MQ);
        assert_int_equal(fake_read(&f->driver, f->driver.device, 4), 1024);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 12, 4), 254);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 34, 2), 2);
}

static void test_the_process_hears_what_the_driver_accepted(void **state) {
        VhostGuest *f = *state;

        start_disk(f);
        assert_int_equal(f->process.features & 0xffffff, BLK_FLUSH | BLK_CONFIG_WCE);
        assert_true(f->process.features & VIRTIO_F_VERSION_1);
}

static void test_a_card_without_configuration_has_a_link_but_no_address(void **state) {
        VhostGuest *f = *state;

        start_card(f);
        assert_int_equal(f->driver.offered & 0xffffff, NET_MRG_RXBUF | NET_STATUS);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 6, 2), 1);
        assert_int_equal(f->process.features & 0xffffff, 0);
}

/* A console of 80 columns and 25 rows. */
static const uint8_t *console_config(uint32_t ports) {
        static uint8_t config[8];

        le16_store(config, 80);
        le16_store(config + 2, 25);
        le32_store(config + 4, ports);
        return config;
}

/* What a guest is told of a console whose process has @told ports and @n_queues queues. */
static void assert_console(VhostGuest *f, uint32_t told, unsigned n_queues, uint64_t features,
                           uint32_t ports, unsigned queues) {
        VirtioDevice *dev;
        const VirtioVhostUserConfig config = config_of(f, VIRTIO_TYPE_CONSOLE);
        const FakeVhostOptions options = {.features = CONSOLE_SIZE | CONSOLE_MULTIPORT |
                                                      CONSOLE_EMERG_WRITE,
                                          .n_queues = n_queues,
                                          .config = console_config(told),
                                          .config_len = told > 0 ? 8 : 0};

        assert_int_equal(virtio_vhost_user_new_consume(fake_vhost_connect_as(&f->process, &options),
                                                       &config, &dev, NULL),
                         0);
        assert_int_equal(dev->offered, features);
        assert_int_equal(dev->n_queues, queues);
        assert_int_equal(le16_load(dev->config), told > 0 ? 80 : 0);
        assert_int_equal(le32_load(dev->config + 4), ports);
        (void) virtio_device_free(dev);
        fake_vhost_deinit(&f->process);
        fake_vhost_init(&f->process);
}

static void test_a_console_has_as_many_ports_as_the_process_has_queues_for(void **state) {
        const uint64_t several = CONSOLE_SIZE | CONSOLE_MULTIPORT;

        assert_console(*state, 3, 8, several, 3, 8);
        assert_console(*state, 3, 16, several, 3, 8);
        assert_console(*state, 3, 7, several, 2, 6);
        assert_console(*state, 1, 4, several, 1, 4);
        assert_console(*state, 0xffffffff, 16, several, 7, 16);
        assert_console(*state, 3, 3, CONSOLE_SIZE, 1, 2);
        assert_console(*state, 3, 2, CONSOLE_SIZE, 1, 2);
        assert_console(*state, 0, 8, 0, 1, 2);
}

static void assert_refused(VhostGuest *f, uint16_t type, const FakeVhostOptions *options,
                           const char *words) {
        const VirtioVhostUserConfig config = config_of(f, type);
        _cleanup_(text_error_deinit) TextError error = {0};
        VirtioDevice *dev;

        assert_int_equal(virtio_vhost_user_new_consume(fake_vhost_connect_as(&f->process, options),
                                                       &config, &dev, &error),
                         -EPROTO);
        assert_non_null(strstr(error.message, words));
        fake_vhost_deinit(&f->process);
        fake_vhost_init(&f->process);
}

static void test_a_process_that_cannot_be_the_device_is_refused(void **state) {
        VhostGuest *f = *state;

        assert_refused(f, VIRTIO_TYPE_BLOCK, &(FakeVhostOptions){.n_queues = 1},
                       "does not tell the configuration");
        assert_refused(f, VIRTIO_TYPE_NET, &(FakeVhostOptions){.n_queues = 1},
                       "it has 1 queues, not 2");
        assert_refused(
                f, VIRTIO_TYPE_BLOCK,
                &(FakeVhostOptions){.n_queues = 1, .config = disk_config(), .config_len = 59},
                "does not tell 60 bytes");
}

/* ---- requests ---- */

static void test_requests_go_to_the_process_and_their_ends_come_back(void **state) {
        VhostGuest *f = *state;
        uint16_t head;
        uint32_t len;

        start_disk(f);
        for (unsigned i = 0; i < 3; i++) {
                ask(f, 0);
                assert_true(fake_vhost_take(&f->process, 0, &head));
                fake_vhost_end(&f->process, 0, head, 513);
                assert_true(fake_queue_wait(f->driver.queues, &head, &len));
                assert_int_equal(len, 513);
        }
}

/* ---- reset ---- */

static void test_a_reset_waits_until_the_process_lets_go_of_the_buffers(void **state) {
        VhostGuest *f = *state;
        uint16_t head;

        start_card(f);
        receive_into(f, 0);
        assert_true(fake_vhost_take(&f->process, 0, &head));
        begin_reset(f);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_VRING_BASE));
        assert_true(fake_vhost_await(&f->process, VHOST_GET_VRING_BASE));
        fake_vhost_stopped(&f->process, 0);
        assert_true(fake_driver_status(&f->driver) != 0);
        fake_vhost_stopped(&f->process, 1);
        assert_reset(f);
        start(f, 0, 2, 2);
        receive_into(f, 0);
        assert_true(fake_vhost_take(&f->process, 0, &head));
}

static void test_a_disk_is_reset_when_its_requests_have_ended(void **state) {
        VhostGuest *f = *state;
        uint16_t head;

        start_disk(f);
        ask(f, 0);
        assert_true(fake_vhost_take(&f->process, 0, &head));
        begin_reset(f);
        assert_true(fake_driver_status(&f->driver) != 0);
        fake_vhost_end(&f->process, 0, head, 513);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_VRING_BASE));
        fake_vhost_stopped(&f->process, 0);
        assert_reset(f);
        start(f, 0, 1, 1);
        ask(f, 0);
        assert_true(fake_vhost_take(&f->process, 0, &head));
}

static void test_a_reset_ends_when_the_process_dies(void **state) {
        VhostGuest *f = *state;

        start_card(f);
        receive_into(f, 0);
        begin_reset(f);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_VRING_BASE));
        fake_vhost_hang_up(&f->process);
        assert_reset(f);
}

/* ---- suspend ---- */

static void test_what_a_suspended_process_did_not_end_is_offered_again(void **state) {
        VhostGuest *f = *state;
        uint16_t first, head;
        uint32_t len;

        start_card(f);
        receive_into(f, 0);
        receive_into(f, 0);
        assert_true(fake_vhost_take(&f->process, 0, &first));
        assert_true(fake_vhost_take(&f->process, 0, &head));
        fake_vhost_end(&f->process, 0, first, 7);
        set_suspended(f, true);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_VRING_BASE));
        assert_true(fake_vhost_await(&f->process, VHOST_GET_VRING_BASE));
        fake_vhost_stopped(&f->process, 0);
        fake_vhost_stopped(&f->process, 1);
        assert_true(fake_queue_wait(f->driver.queues, &head, &len));
        assert_int_equal(len, 7);
        set_suspended(f, false);
        assert_true(fake_vhost_await(&f->process, VHOST_SET_VRING_ENABLE));
        assert_true(fake_vhost_await(&f->process, VHOST_SET_VRING_ENABLE));
        assert_true(fake_vhost_take(&f->process, 0, &head));
        fake_vhost_end(&f->process, 0, head, 9);
        assert_true(fake_queue_wait(f->driver.queues, &head, &len));
        assert_int_equal(len, 9);
}

/* ---- configuration ---- */

static void test_the_guest_hears_of_a_configuration_that_changed(void **state) {
        uint8_t config[BLK_CONFIG_LEN];
        VhostGuest *f = *state;

        start_disk(f);
        memcpy(config, disk_config(), sizeof(config));
        le64_store(config, 4096);
        fake_vhost_say(f->process.back_fd, CONFIG_CHANGE, FAKE_VHOST_UNASKED, NULL, 0);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_CONFIG));
        fake_vhost_tell_config(&f->process, config, sizeof(config));
        assert_true(fake_wait_msi(f->board, 0, 1));
        assert_int_equal(fake_read(&f->driver, f->driver.device, 4), 4096);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 12, 4), 254);
}

static void test_a_message_may_come_in_pieces(void **state) {
        const uint8_t message[] = {CONFIG_CHANGE, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
        VhostGuest *f = *state;

        start_disk(f);
        assert_int_equal(send(f->process.back_fd, message, 5, 0), 5);
        assert_int_equal(send(f->process.back_fd, message + 5, 7, 0), 7);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_CONFIG));
}

static void test_the_process_hears_of_the_cache_that_the_driver_wants(void **state) {
        uint8_t config[BLK_CONFIG_LEN];
        VhostGuest *f = *state;

        start_disk(f);
        fake_write(&f->driver, f->driver.device + 32, 1, 1);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_CONFIG));
        assert_int_equal(f->process.config[32], 1);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 32, 1), 1);
        memcpy(config, disk_config(), sizeof(config)); /* but it does not want to */
        fake_vhost_tell_config(&f->process, config, sizeof(config));
        assert_true(fake_wait_msi(f->board, 0, 1));
        assert_int_equal(fake_read(&f->driver, f->driver.device + 32, 1), 0);
}

static void test_the_rest_of_the_configuration_is_not_the_drivers(void **state) {
        VhostGuest *f = *state;

        start_disk(f);
        fake_write(&f->driver, f->driver.device, 8, 1);
        fake_write(&f->driver, f->driver.device + 32, 2, 0xffff);
        fake_write(&f->driver, f->driver.device + 0xff8, 8, 1);
        assert_int_equal(fake_read(&f->driver, f->driver.device, 4), 1024);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 32, 1), 0);
}

/* ---- the end of the process, and its lies ---- */

static void test_a_disk_whose_process_is_lost_fails(void **state) {
        VhostGuest *f = *state;
        uint16_t head;

        start_disk(f);
        ask(f, 0);
        assert_true(fake_vhost_take(&f->process, 0, &head));
        fake_vhost_hang_up(&f->process);
        assert_io_error(f);
        ((uint8_t *) fake_host(f->board, f->in, 513))[512] = 0xff;
        ask(f, 0);
        assert_io_error(f);
        assert_false(fake_driver_status(&f->driver) & NEEDS_RESET);
}

static void test_a_card_whose_process_is_lost_has_no_link(void **state) {
        VhostGuest *f = *state;
        const FakeBuffer frame = {f->out, 64, false};
        uint16_t head;
        uint32_t len;

        start_card(f);
        fake_vhost_hang_up(&f->process);
        (void) fake_queue_add(f->driver.queues + 1, &frame, 1);
        fake_queue_kick(f->driver.queues + 1);
        assert_true(fake_queue_wait(f->driver.queues + 1, &head, &len));
        assert_int_equal(fake_read(&f->driver, f->driver.device + 6, 2), 0);
        begin_reset(f);
        assert_reset(f);
}

static void test_output_to_a_console_whose_process_is_lost_is_dropped(void **state) {
        VhostGuest *f = *state;
        const FakeBuffer text = {f->out, 64, false};
        uint16_t head;
        uint32_t len;

        attach(f, VIRTIO_TYPE_CONSOLE, &(FakeVhostOptions){.n_queues = 2});
        start(f, 0, 2, 2);
        (void) fake_queue_add(f->driver.queues + 1, &text, 1);
        fake_queue_kick(f->driver.queues + 1);
        assert_true(fake_vhost_take(&f->process, 1, &head));
        fake_vhost_hang_up(&f->process);
        assert_true(fake_queue_wait(f->driver.queues + 1, &head, &len));
        (void) fake_queue_add(f->driver.queues + 1, &text, 1);
        fake_queue_kick(f->driver.queues + 1);
        assert_true(fake_queue_wait(f->driver.queues + 1, &head, &len));
        assert_int_equal(len, 0);
}

static void test_sockets_whose_process_is_lost_are_reset(void **state) {
        const uint8_t cid[8] = {42};
        VhostGuest *f = *state;
        uint16_t head;
        uint32_t len;

        attach(f, VIRTIO_TYPE_VSOCK,
               &(FakeVhostOptions){.n_queues = 2, .config = cid, .config_len = sizeof(cid)});
        start(f, 0, 3, 2);
        assert_int_equal(fake_read(&f->driver, f->driver.device, 4), 42);
        memset(fake_host(f->board, f->in, 8), 0xff, 8);
        receive_into(f, VSOCK_EVENTS);
        fake_vhost_hang_up(&f->process);
        assert_true(fake_queue_wait(f->driver.queues + VSOCK_EVENTS, &head, &len));
        assert_int_equal(len, 4);
        assert_int_equal(le32_load(fake_host(f->board, f->in, 4)), 0);
}

static void test_a_process_that_ends_what_it_was_not_given_is_lost(void **state) {
        VhostGuest *f = *state;
        uint16_t head;

        start_disk(f);
        ask(f, 0);
        assert_true(fake_vhost_take(&f->process, 0, &head));
        fake_vhost_end(&f->process, 0, head + 1u, 513);
        assert_io_error(f);
}

/* Each lie in turn, told by a process that has a request of the guest's: the request fails. */
typedef void (*LieFn)(VhostGuest *f);

static void answer_unasked(VhostGuest *f) {
        fake_vhost_stopped(&f->process, 0);
}

static void answer_too_long(VhostGuest *f) {
        const uint8_t header[] = {24, 0, 0, 0, 5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};

        assert_int_equal(send(f->process.fd, header, sizeof(header), 0), sizeof(header));
}

static void tell_short_config(VhostGuest *f) {
        fake_vhost_say(f->process.back_fd, CONFIG_CHANGE, FAKE_VHOST_UNASKED, NULL, 0);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_CONFIG));
        fake_vhost_tell_config(&f->process, disk_config(), BLK_CONFIG_LEN - 1);
}

static void tell_other_config(VhostGuest *f) {
        uint8_t payload[VHOST_CONFIG_HEADER_LEN + BLK_CONFIG_LEN] = {4, 0, 0, 0, BLK_CONFIG_LEN};

        fake_vhost_say(f->process.back_fd, CONFIG_CHANGE, FAKE_VHOST_UNASKED, NULL, 0);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_CONFIG));
        fake_vhost_say(f->process.fd, VHOST_GET_CONFIG, FAKE_VHOST_REPLY, payload, sizeof(payload));
}

static void answer_another_question(VhostGuest *f) {
        fake_vhost_say(f->process.back_fd, CONFIG_CHANGE, FAKE_VHOST_UNASKED, NULL, 0);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_CONFIG));
        fake_vhost_stopped(&f->process, 0);
}

static void say_nonsense(VhostGuest *f) {
        fake_vhost_say(f->process.back_fd, 77, FAKE_VHOST_UNASKED, NULL, 0);
}

static void say_more_than_the_change(VhostGuest *f) {
        fake_vhost_say(f->process.back_fd, CONFIG_CHANGE, FAKE_VHOST_UNASKED, "12345678", 8);
}

static void close_the_back_channel(VhostGuest *f) {
        assert_int_equal(shutdown(f->process.back_fd, SHUT_RDWR), 0);
}

static void assert_lie_is_seen(VhostGuest *f, LieFn lie) {
        uint16_t head;

        start_disk(f);
        ask(f, 0);
        assert_true(fake_vhost_take(&f->process, 0, &head));
        lie(f);
        assert_io_error(f);
}

#define LIE(name)                                                                                  \
        static void test_the_process_is_lost_if_it_would_##name(void **state) {                    \
                assert_lie_is_seen(*state, name);                                                  \
        }

LIE(answer_unasked)
LIE(answer_too_long)
LIE(tell_short_config)
LIE(tell_other_config)
LIE(answer_another_question)
LIE(say_nonsense)
LIE(say_more_than_the_change)
LIE(close_the_back_channel)

static void test_a_wrong_queue_in_the_answer_to_a_stop_ends_the_reset_too(void **state) {
        VhostGuest *f = *state;

        start_card(f);
        begin_reset(f);
        assert_true(fake_vhost_await(&f->process, VHOST_GET_VRING_BASE));
        fake_vhost_stopped(&f->process, 1);
        assert_reset(f);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 6, 2), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vhost_guest_setup, vhost_guest_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_guest_is_offered_what_the_process_and_the_frontend_know),
                TEST(test_the_process_hears_what_the_driver_accepted),
                TEST(test_a_card_without_configuration_has_a_link_but_no_address),
                TEST(test_a_console_has_as_many_ports_as_the_process_has_queues_for),
                TEST(test_a_process_that_cannot_be_the_device_is_refused),
                TEST(test_requests_go_to_the_process_and_their_ends_come_back),
                TEST(test_a_reset_waits_until_the_process_lets_go_of_the_buffers),
                TEST(test_a_disk_is_reset_when_its_requests_have_ended),
                TEST(test_a_reset_ends_when_the_process_dies),
                TEST(test_what_a_suspended_process_did_not_end_is_offered_again),
                TEST(test_the_guest_hears_of_a_configuration_that_changed),
                TEST(test_a_message_may_come_in_pieces),
                TEST(test_the_process_hears_of_the_cache_that_the_driver_wants),
                TEST(test_the_rest_of_the_configuration_is_not_the_drivers),
                TEST(test_a_disk_whose_process_is_lost_fails),
                TEST(test_a_card_whose_process_is_lost_has_no_link),
                TEST(test_output_to_a_console_whose_process_is_lost_is_dropped),
                TEST(test_sockets_whose_process_is_lost_are_reset),
                TEST(test_a_process_that_ends_what_it_was_not_given_is_lost),
                TEST(test_the_process_is_lost_if_it_would_answer_unasked),
                TEST(test_the_process_is_lost_if_it_would_answer_too_long),
                TEST(test_the_process_is_lost_if_it_would_tell_short_config),
                TEST(test_the_process_is_lost_if_it_would_tell_other_config),
                TEST(test_the_process_is_lost_if_it_would_answer_another_question),
                TEST(test_the_process_is_lost_if_it_would_say_nonsense),
                TEST(test_the_process_is_lost_if_it_would_say_more_than_the_change),
                TEST(test_the_process_is_lost_if_it_would_close_the_back_channel),
                TEST(test_a_wrong_queue_in_the_answer_to_a_stop_ends_the_reset_too),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
