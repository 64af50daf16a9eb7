/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/gdb/stub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "vmm/gdb/stub_internal.h"

/** stub_answer_bytes() - one packet, as the answer to the last one */
void stub_answer_bytes(GdbStub *stub, const char *data, size_t len) {
        stub->n_frame = rsp_frame(data, len, stub->frame, sizeof(stub->frame));
        stub->send(stub->userdata, stub->frame, stub->n_frame);
}

/** stub_answer() - send a packet of text */
void stub_answer(GdbStub *stub, const char *text) {
        stub_answer_bytes(stub, text, strlen(text));
}

/** stub_answer_errno() - "Enn"; gdb shows the number and no more */
void stub_answer_errno(GdbStub *stub, int r) {
        char text[8];

        (void) snprintf(text, sizeof(text), "E%02x", (unsigned) -r & 0xffu);
        stub_answer(stub, text);
}

static void answer_result(GdbStub *stub, int r) {
        if (r < 0)
                stub_answer_errno(stub, r);
        else
                stub_answer(stub, "OK");
}

/* ---- registers ---- */

static void read_all_registers(GdbStub *stub) {
        char text[2 * GDB_REGISTERS_BYTES];
        GdbRegisters registers;
        size_t n = 0;
        int r;

        r = stub->ops->read_registers(stub->target, stub->current, &registers);
        if (r < 0) {
                stub_answer_errno(stub, r);
                return;
        }
        for (unsigned i = 0; i < GDB_REGISTERS_COUNT; i++) {
                uint8_t value[GDB_REGISTER_BYTES_MAX];

                gdb_register_read(&registers, i, value);
                rsp_hex(value, gdb_register_size(i), text + n);
                n += 2 * gdb_register_size(i);
        }
        stub_answer_bytes(stub, text, n);
}

/* What is not to be written is sent all the same, mostly unchanged, and passed over. */
static void write_all_registers(GdbStub *stub, const char *text, size_t len) {
        GdbRegisters registers;
        size_t at = 0;
        int r;

        r = stub->ops->read_registers(stub->target, stub->current, &registers);
        for (unsigned i = 0; r == 0 && i < GDB_REGISTERS_COUNT; i++) {
                size_t size = gdb_register_size(i);
                uint8_t value[GDB_REGISTER_BYTES_MAX];

                if (at + 2 * size > len)
                        break;
                r = rsp_unhex(text + at, size, value);
                if (r == 0)
                        (void) gdb_register_write(&registers, i, value);
                at += 2 * size;
        }
        if (r == 0)
                r = stub->ops->write_registers(stub->target, stub->current, &registers);
        answer_result(stub, r);
}

static void read_register(GdbStub *stub, const char *text) {
        char answer[2 * GDB_REGISTER_BYTES_MAX];
        uint8_t value[GDB_REGISTER_BYTES_MAX];
        GdbRegisters registers;
        uint64_t number;
        int r;

        if (!rsp_number(&text, &number) || *text || number >= GDB_REGISTERS_COUNT) {
                stub_answer_errno(stub, -EINVAL);
                return;
        }
        r = stub->ops->read_registers(stub->target, stub->current, &registers);
        if (r < 0) {
                stub_answer_errno(stub, r);
                return;
        }
        gdb_register_read(&registers, (unsigned) number, value);
        rsp_hex(value, gdb_register_size((unsigned) number), answer);
        stub_answer_bytes(stub, answer, 2 * gdb_register_size((unsigned) number));
}

static void write_register(GdbStub *stub, const char *text) {
        uint8_t value[GDB_REGISTER_BYTES_MAX];
        GdbRegisters registers;
        uint64_t number;
        int r = -EINVAL;

        if (rsp_number(&text, &number) && *text++ == '=' && number < GDB_REGISTERS_COUNT &&
            strlen(text) >= 2 * gdb_register_size((unsigned) number))
                r = rsp_unhex(text, gdb_register_size((unsigned) number), value);
        if (r == 0)
                r = stub->ops->read_registers(stub->target, stub->current, &registers);
        if (r == 0)
                r = gdb_register_write(&registers, (unsigned) number, value);
        if (r == 0)
                r = stub->ops->write_registers(stub->target, stub->current, &registers);
        answer_result(stub, r);
}

/* ---- memory ---- */

static void read_memory(GdbStub *stub, const char *text) {
        uint64_t gva, len;
        ssize_t n;

        if (!rsp_number(&text, &gva) || *text++ != ',' || !rsp_number(&text, &len) || *text) {
                stub_answer_errno(stub, -EINVAL);
                return;
        }
        n = stub->ops->read_memory(stub->target, stub->current, gva, stub->memory,
                                   MIN(len, GDB_MEMORY_BYTES_MAX));
        if (n < 0) {
                stub_answer_errno(stub, (int) n);
                return;
        }
        rsp_hex(stub->memory, (size_t) n, stub->text);
        stub_answer_bytes(stub, stub->text, 2 * (size_t) n);
}

/* "address,length:data", where the data is binary for X and digits for M. */
static void write_memory(GdbStub *stub, const char *text, const char *end, bool binary) {
        uint64_t gva, len;
        ssize_t n;
        int r;

        if (!rsp_number(&text, &gva) || *text++ != ',' || !rsp_number(&text, &len) ||
            *text++ != ':' || len > GDB_MEMORY_BYTES_MAX ||
            (uint64_t) (end - text) != (binary ? len : 2 * len)) {
                stub_answer_errno(stub, -EINVAL);
                return;
        }
        if (binary)
                memcpy(stub->memory, text, len);
        r = binary ? 0 : rsp_unhex(text, len, stub->memory);
        if (r == 0 && len > 0) {
                n = stub->ops->write_memory(stub->target, stub->current, gva, stub->memory, len);
                r = n < 0 ? (int) n : (uint64_t) n == len ? 0 : -EFAULT;
        }
        answer_result(stub, r);
}

/* ---- threads ---- */

static void select_thread(GdbStub *stub, const char *text) {
        int64_t thread;

        if (!stub_parse_thread(&text, &thread) || *text ||
            thread > (int64_t) stub->ops->count_vcpus(stub->target)) {
                stub_answer_errno(stub, -EINVAL);
                return;
        }
        if (thread > 0)
                stub->current = (unsigned) thread - 1;
        stub_answer(stub, "OK");
}

static void answer_alive(GdbStub *stub, const char *text) {
        int64_t thread;
        bool alive = stub_parse_thread(&text, &thread) && thread > 0 &&
                     thread <= (int64_t) stub->ops->count_vcpus(stub->target);

        answer_result(stub, alive ? 0 : -ESRCH);
}

static void list_threads(GdbStub *stub, bool first) {
        StrBuf text = {0};
        unsigned n = stub->ops->count_vcpus(stub->target);
        char *list;

        if (first)
                stub->listed = 0;
        strbuf_append(&text, stub->listed < n ? "m" : "l");
        for (unsigned i = stub->listed; i < n; i++)
                strbuf_printf(&text, "%s%x", i > stub->listed ? "," : "", i + 1);
        stub->listed = n;
        if (strbuf_finish(&text, &list) < 0) {
                stub_answer_errno(stub, -ENOMEM);
                return;
        }
        stub_answer(stub, list);
        free(list);
}

static void describe_thread(GdbStub *stub, const char *text) {
        char name[32], answer[2 * sizeof(name)];
        int64_t thread;

        if (!stub_parse_thread(&text, &thread) || thread < 1) {
                stub_answer_errno(stub, -EINVAL);
                return;
        }
        (void) snprintf(name, sizeof(name), "vCPU %u", (unsigned) thread - 1);
        rsp_hex(name, strlen(name), answer);
        stub_answer_bytes(stub, answer, 2 * strlen(name));
}

/* ---- queries ---- */

/* "offset,length" of a document; 'm' before a part with more behind it, 'l' before the last. */
static void read_document(GdbStub *stub, const char *document, const char *text) {
        char *answer = stub->text;
        size_t size = strlen(document), n;
        uint64_t offset, len;

        if (!rsp_number(&text, &offset) || *text++ != ',' || !rsp_number(&text, &len) || *text ||
            offset > size) {
                stub_answer_errno(stub, -EINVAL);
                return;
        }
        /* Escaping doubles it at worst. */
        n = MIN(size - offset, (size_t) (GDB_ANSWER_BYTES - 1) / 2);
        n = MIN(len, n);
        answer[0] = offset + n < size ? 'm' : 'l';
        n = rsp_escape((const uint8_t *) document + offset, n, answer + 1, GDB_ANSWER_BYTES - 1);
        stub_answer_bytes(stub, answer, n + 1);
}

static void answer_supported(GdbStub *stub, const char *features) {
        char text[128];

        stub->knows_swbreak = strstr(features, "swbreak+") != NULL;
        (void) snprintf(text, sizeof(text),
                        "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;"
                        "swbreak+;hwbreak+",
                        RSP_PACKET_BYTES_MAX);
        stub_answer(stub, text);
}

static void handle_query(GdbStub *stub, const char *packet) {
        const char *rest;
        char text[16];

        if ((rest = str_after_prefix(packet, "qSupported")))
                answer_supported(stub, rest);
        else if ((rest = str_after_prefix(packet, "qXfer:features:read:target.xml:")))
                read_document(stub, gdb_target_xml, rest);
        else if (str_eq(packet, "qfThreadInfo") || str_eq(packet, "qsThreadInfo"))
                list_threads(stub, packet[1] == 'f');
        else if ((rest = str_after_prefix(packet, "qThreadExtraInfo,")))
                describe_thread(stub, rest);
        else if (str_eq(packet, "qC")) {
                (void) snprintf(text, sizeof(text), "QC%x", stub->current + 1);
                stub_answer(stub, text);
        } else if (str_after_prefix(packet, "qAttached"))
                stub_answer(stub, "1"); /* quitting detaches and does not kill */
        else
                stub_answer(stub, "");
}

static void handle_set(GdbStub *stub, const char *packet) {
        if (!str_eq(packet, "QStartNoAckMode")) {
                stub_answer(stub, "");
                return;
        }
        stub_answer(stub, "OK");
        stub->no_ack = true;
}

static void handle_verbose(GdbStub *stub, const char *packet) {
        if (str_after_prefix(packet, "vCont"))
                stub_handle_vcont(stub, packet);
        else
                stub_answer(stub, "");
}

/** gdb_stub_disconnect() - the debugger left: breakpoints go, and the guest goes on by itself */
void gdb_stub_disconnect(GdbStub *stub) {
        if (stub->gone)
                return;
        if (stub->running)
                stub->ops->stop(stub->target);
        stub_remove_all_breaks(stub);
        stub->gone = true;
        stub->ops->detach(stub->target);
}

static void handle_packet(GdbStub *stub, const char *packet, size_t len) {
        switch (packet[0]) {
        case '?':
                stub_answer_stop(stub);
                return;
        case 'g':
                read_all_registers(stub);
                return;
        case 'G':
                write_all_registers(stub, packet + 1, len - 1);
                return;
        case 'p':
                read_register(stub, packet + 1);
                return;
        case 'P':
                write_register(stub, packet + 1);
                return;
        case 'm':
                read_memory(stub, packet + 1);
                return;
        case 'M':
        case 'X':
                write_memory(stub, packet + 1, packet + len, packet[0] == 'X');
                return;
        case 'H':
                select_thread(stub, packet[1] ? packet + 2 : "");
                return;
        case 'T':
                answer_alive(stub, packet + 1);
                return;
        case 'Z':
        case 'z':
                stub_handle_break(stub, packet);
                return;
        case 'c':
        case 's':
                stub_handle_resume(stub, packet);
                return;
        case 'q':
                handle_query(stub, packet);
                return;
        case 'Q':
                handle_set(stub, packet);
                return;
        case 'v':
                handle_verbose(stub, packet);
                return;
        case 'D':
                stub_answer(stub, "OK");
                gdb_stub_disconnect(stub);
                return;
        case 'k':
                stub->gone = true;
                stub->ops->kill(stub->target);
                return;
        default:
                stub_answer(stub, ""); /* how the protocol says "unknown" */
        }
}

/* The machine runs: only a wish to stop counts, packets are out of turn. */
static void interrupt(GdbStub *stub) {
        GdbStop stop = {.vcpu = stub->current};

        if (!stub->running)
                return;
        stub->ops->stop(stub->target);
        gdb_stub_stopped(stub, &stop);
}

static void handle_event(GdbStub *stub, RspEvent event) {
        switch (event) {
        case RSP_NOTHING:
                return;
        case RSP_INTERRUPT:
                interrupt(stub);
                return;
        case RSP_NACK:
                if (!stub->no_ack && stub->n_frame > 0)
                        stub->send(stub->userdata, stub->frame, stub->n_frame);
                return;
        case RSP_BAD:
                if (!stub->no_ack)
                        stub->send(stub->userdata, "-", 1);
                return;
        case RSP_PACKET:
                if (!stub->no_ack)
                        stub->send(stub->userdata, "+", 1);
                if (!stub->running)
                        handle_packet(stub, stub->reader.data, stub->reader.len);
                return;
        }
}

/**
 * gdb_stub_receive() - what the debugger sent
 *
 * Return: false when the connection is to be closed.
 */
bool gdb_stub_receive(GdbStub *stub, const uint8_t *data, size_t len) {
        for (size_t i = 0; i < len && !stub->gone; i++)
                handle_event(stub, rsp_read(&stub->reader, data[i]));
        return !stub->gone;
}

/** gdb_stub_ended() - the machine has ended with this exit status */
void gdb_stub_ended(GdbStub *stub, int status) {
        char text[8];

        if (stub->gone || !stub->running)
                return;
        (void) snprintf(text, sizeof(text), "W%02x", (unsigned) status & 0xffu);
        stub_answer(stub, text);
        stub->gone = true;
}

/**
 * gdb_stub_new() - a stub for one debugger that has just connected; the machine is stopped
 * @target, @userdata: borrowed
 *
 * Return: 0 or -ENOMEM.
 */
int gdb_stub_new(const GdbTargetOps *ops, void *target, GdbSendFn send, void *userdata,
                 GdbStub **ret) {
        GdbStub *stub = calloc(1, sizeof(*stub));

        if (!stub)
                return -ENOMEM;
        stub->ops = ops;
        stub->target = target;
        stub->send = send;
        stub->userdata = userdata;
        *ret = stub;
        return 0;
}

/** gdb_stub_free() - forget the debugger; what it left in the guest stays. Return: NULL. */
GdbStub *gdb_stub_free(GdbStub *stub) {
        free(stub);
        return NULL;
}
