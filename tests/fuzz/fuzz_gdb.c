/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a debugger sends: each line of the input is a packet, framed here so that the checksum is no obstacle, or raw bytes
 * if it begins with 0xff. A machine that goes on stops again before the next line, for a cause that the line's length says.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/gdb/rsp.h"
#include "vmm/gdb/stub.h"

#define N_VCPUS 3u
#define MEMORY_GVA UINT64_C(0xffffffff81000000)
#define MEMORY_BYTES 4096u
#define LINE_BYTES_MAX 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Target {
        GdbRegisters registers[N_VCPUS];
        uint8_t memory[MEMORY_BYTES];
        bool runs, gone;
} Target;

static unsigned count_vcpus(void *target) {
        return N_VCPUS;
}

static int read_registers(void *target, unsigned vcpu, GdbRegisters *ret) {
        assert(vcpu < N_VCPUS);
        *ret = ((Target *) target)->registers[vcpu];
        return 0;
}

static int write_registers(void *target, unsigned vcpu, const GdbRegisters *registers) {
        assert(vcpu < N_VCPUS);
        ((Target *) target)->registers[vcpu] = *registers;
        return 0;
}

static ssize_t clip(uint64_t gva, size_t len) {
        if (gva < MEMORY_GVA || gva - MEMORY_GVA >= MEMORY_BYTES)
                return -EFAULT;
        return (ssize_t) MIN(len, (size_t) (MEMORY_GVA + MEMORY_BYTES - gva));
}

static ssize_t read_memory(void *target, unsigned vcpu, uint64_t gva, void *data, size_t len) {
        ssize_t n = clip(gva, len);

        assert(vcpu < N_VCPUS);
        if (n > 0)
                memcpy(data, ((Target *) target)->memory + (gva - MEMORY_GVA), (size_t) n);
        return n;
}

static ssize_t write_memory(void *target, unsigned vcpu, uint64_t gva, const void *data,
                            size_t len) {
        ssize_t n = clip(gva, len);

        assert(vcpu < N_VCPUS);
        if (n > 0)
                memcpy(((Target *) target)->memory + (gva - MEMORY_GVA), data, (size_t) n);
        return n;
}

static int go_on(void *target, const GdbPlan *plan) {
        assert(plan->n_breaks <= VCPU_BREAKS_MAX);
        ((Target *) target)->runs = true;
        return 0;
}

static void stop(void *target) {
        ((Target *) target)->runs = false;
}

static void gone(void *target) {
        ((Target *) target)->gone = true;
}

static const GdbTargetOps ops = {
        .count_vcpus = count_vcpus,
        .read_registers = read_registers,
        .write_registers = write_registers,
        .read_memory = read_memory,
        .write_memory = write_memory,
        .go_on = go_on,
        .stop = stop,
        .detach = gone,
        .kill = gone,
};

/* Whatever is answered is an acknowledgement or frames of packets. */
static void take_answer(void *userdata, const char *data, size_t len) {
        assert(len == 1 || (len >= 4 && data[len - 3] == '#'));
}

static bool tell(GdbStub *stub, const uint8_t *line, size_t len) {
        char frame[LINE_BYTES_MAX + 8];
        size_t n;

        if (len > 0 && line[0] == 0xff)
                return gdb_stub_receive(stub, line + 1, len - 1);
        n = rsp_frame((const char *) line, MIN(len, (size_t) LINE_BYTES_MAX), frame, sizeof(frame));
        return gdb_stub_receive(stub, (const uint8_t *) frame, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Target *target = calloc(1, sizeof(*target));
        GdbStub *stub = NULL;
        int r;

        assert(target);
        r = gdb_stub_new(&ops, target, take_answer, NULL, &stub);
        assert(r == 0);
        for (size_t len; size > 0 && !target->gone; data += len, size -= len) {
                const uint8_t *end = memchr(data, '\n', size);
                bool more;

                len = end ? (size_t) (end - data) + 1 : size;
                more = tell(stub, data, end ? len - 1 : len);
                if (!more)
                        break;
                if (target->runs) {
                        const GdbStop why = {.vcpu = (unsigned) (len % N_VCPUS), .debug = len & 1};

                        target->runs = false;
                        gdb_stub_stopped(stub, &why);
                }
        }
        gdb_stub_disconnect(stub);
        gdb_stub_free(stub);
        free(target);
        return 0;
}
