/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The inside of the stub, shared by its files: stub.c has the packets, breaks.c the breakpoints, resume.c how the machine
 * goes on. */

#include "vmm/gdb/rsp.h"
#include "vmm/gdb/stub.h"

/* Room for an answer with all registers, and for a page of memory. */
#define GDB_ANSWER_BYTES RSP_PACKET_BYTES_MAX

typedef struct SoftBreak {
        uint64_t gva;
        uint8_t replaced; /* the byte under INT3 */
} SoftBreak;

/* Of memory in one packet, as hexadecimal digits. */
#define GDB_MEMORY_BYTES_MAX ((RSP_PACKET_BYTES_MAX - 1) / 2)

struct GdbStub {
        const GdbTargetOps *ops;
        void *target; /* borrowed */
        GdbSendFn send;
        void *userdata; /* borrowed */

        RspReader reader;
        char frame[GDB_ANSWER_BYTES + 4]; /* the last answer, in case it is lost */
        size_t n_frame;
        uint8_t memory[GDB_MEMORY_BYTES_MAX]; /* of the guest, on its way */
        char text[GDB_ANSWER_BYTES];          /* of the answer, on its way */
        bool no_ack;
        bool gone;          /* detached, or told to end: no more packets */
        bool knows_swbreak; /* gdb takes rip of a breakpoint as it is */
        bool running;       /* the machine, not a debugger's prompt */
        unsigned current;   /* vCPU that packets without one speak of */
        unsigned listed;    /* vCPUs told by qfThreadInfo and qsThreadInfo */
        GdbStop stop;       /* of the last stop */
        SoftBreak soft[GDB_SOFT_BREAKS_MAX];
        unsigned n_soft;
        VcpuBreak hard[VCPU_BREAKS_MAX];
        unsigned n_hard;
};

void stub_answer(GdbStub *stub, const char *text);
void stub_answer_bytes(GdbStub *stub, const char *data, size_t len);
void stub_answer_errno(GdbStub *stub, int r);

/* breaks.c */
void stub_handle_break(GdbStub *stub, const char *packet);
void stub_remove_all_breaks(GdbStub *stub);

/* resume.c */
void stub_handle_vcont(GdbStub *stub, const char *packet);
void stub_handle_resume(GdbStub *stub, const char *packet);
void stub_answer_stop(GdbStub *stub);
bool stub_parse_thread(const char **text, int64_t *ret);
