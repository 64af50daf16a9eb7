/* SPDX-License-Identifier: Apache-2.0 */

/* The console device between a guest that does what it likes (tests/fake/vmm_virtio_fuzz.h) and input of the host's. */

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_virtio_fuzz.h"
#include "vmm/virtio/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void type_in(void *userdata, unsigned queue, uint32_t offset, uint64_t value) {
        static const uint8_t keys[4096];
        const int *fd = userdata;

        (void) !write(*fd, keys, offset % sizeof(keys));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        VmmSerial serial = {.type = VMM_SERIAL_FILE, .path = (char[]){"/dev/null"}, .num = 1};
        char input[32];
        FuzzedDevice f;
        VirtioDevice *dev;
        CharDev *chardev;
        int fds[2], r;

        fuzzed_init(&f);
        r = pipe2(fds, O_NONBLOCK);
        assert(r == 0);
        (void) snprintf(input, sizeof(input), "/proc/self/fd/%d", fds[0]);
        serial.input = input;
        r = char_new(&serial, f.board->loop, &chardev, NULL);
        assert(r == 0);
        r = virtio_console_new(chardev, &dev);
        assert(r == 0);
        fuzzed_attach(&f, dev);
        fuzzed_run(&f, data, size, type_in, &fds[1]);
        pci_root_free(f.board->root);
        f.board->root = NULL;
        char_free(chardev);
        fuzzed_deinit(&f);
        (void) fd_close(fds[0]);
        (void) fd_close(fds[1]);
        return 0;
}
