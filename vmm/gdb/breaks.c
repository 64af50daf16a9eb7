/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "vmm/gdb/stub_internal.h"

#define INT3 0xccu

/* The kinds of Z and z packets. */
enum {
        Z_SOFTWARE,
        Z_HARDWARE,
        Z_WRITE,
        Z_READ,
        Z_ACCESS,
};

static SoftBreak *find_soft(GdbStub *stub, uint64_t gva) {
        for (unsigned i = 0; i < stub->n_soft; i++)
                if (stub->soft[i].gva == gva)
                        return &stub->soft[i];
        return NULL;
}

/** gdb_stub_is_own_breakpoint() - whether the debugger put an INT3 at @gva; any other is the guest's own */
bool gdb_stub_is_own_breakpoint(const GdbStub *stub, uint64_t gva) {
        for (unsigned i = 0; i < stub->n_soft; i++)
                if (stub->soft[i].gva == gva)
                        return true;
        return false;
}

static int access_byte(GdbStub *stub, uint64_t gva, uint8_t *byte, bool write) {
        ssize_t n = write ? stub->ops->write_memory(stub->target, stub->current, gva, byte, 1)
                          : stub->ops->read_memory(stub->target, stub->current, gva, byte, 1);

        return n < 0 ? (int) n : n == 1 ? 0 : -EFAULT;
}

static int insert_soft(GdbStub *stub, uint64_t gva) {
        SoftBreak added = {.gva = gva};
        uint8_t int3 = INT3;
        int r;

        if (find_soft(stub, gva))
                return 0;
        if (stub->n_soft == GDB_SOFT_BREAKS_MAX)
                return -ENOSPC;
        r = access_byte(stub, gva, &added.replaced, false);
        if (r == 0)
                r = access_byte(stub, gva, &int3, true);
        if (r == 0)
                stub->soft[stub->n_soft++] = added;
        return r;
}

/* A guest that wrote over the INT3 meanwhile keeps what it wrote. */
static int remove_soft(GdbStub *stub, uint64_t gva) {
        SoftBreak *found = find_soft(stub, gva);
        uint8_t now;
        int r;

        if (!found)
                return 0;
        r = access_byte(stub, gva, &now, false);
        if (r == 0 && now == INT3)
                r = access_byte(stub, gva, &found->replaced, true);
        *found = stub->soft[--stub->n_soft];
        return r;
}

static int find_hard(const GdbStub *stub, const VcpuBreak *wanted) {
        for (unsigned i = 0; i < stub->n_hard; i++)
                if (stub->hard[i].kind == wanted->kind && stub->hard[i].gva == wanted->gva &&
                    stub->hard[i].size == wanted->size)
                        return (int) i;
        return -ENOENT;
}

static int change_hard(GdbStub *stub, const VcpuBreak *wanted, bool insert) {
        VcpuDebug trial = {.n_breaks = 1, .breaks = {*wanted}};
        int i = find_hard(stub, wanted);

        if (!insert) {
                if (i >= 0)
                        stub->hard[i] = stub->hard[--stub->n_hard];
                return 0;
        }
        if (i >= 0)
                return 0;
        if (!vcpu_debug_valid(&trial))
                return -EINVAL;
        if (stub->n_hard == VCPU_BREAKS_MAX)
                return -ENOSPC;
        stub->hard[stub->n_hard++] = *wanted;
        return 0;
}

/** stub_handle_break() - Z and z: "Zkind,address,size". An empty answer says that the kind cannot be had. */
void stub_handle_break(GdbStub *stub, const char *packet) {
        const bool insert = packet[0] == 'Z';
        const char *p = packet + 1;
        uint64_t kind, gva, size;
        VcpuBreak hard;
        int r;

        if (!rsp_number(&p, &kind) || *p++ != ',' || !rsp_number(&p, &gva) || *p++ != ',' ||
            !rsp_number(&p, &size)) {
                stub_answer_errno(stub, -EINVAL);
                return;
        }
        hard = (VcpuBreak){.gva = gva, .size = size > 8 ? 0 : (unsigned) size};
        switch (kind) {
        case Z_SOFTWARE:
                if (!stub->knows_swbreak) {
                        stub_answer(stub, "");
                        return;
                }
                r = insert ? insert_soft(stub, gva) : remove_soft(stub, gva);
                break;
        case Z_HARDWARE:
                hard.kind = VCPU_BREAK_EXECUTE;
                hard.size = 1;
                r = change_hard(stub, &hard, insert);
                break;
        case Z_WRITE:
                hard.kind = VCPU_BREAK_WRITE;
                r = change_hard(stub, &hard, insert);
                break;
        case Z_ACCESS:
                hard.kind = VCPU_BREAK_READ_WRITE;
                r = change_hard(stub, &hard, insert);
                break;
        case Z_READ: /* x86 does not tell reads alone */
        default:
                stub_answer(stub, "");
                return;
        }
        if (r < 0)
                stub_answer_errno(stub, r);
        else
                stub_answer(stub, "OK");
}

/** stub_remove_all_breaks() - leave the guest as it was; while it is stopped */
void stub_remove_all_breaks(GdbStub *stub) {
        while (stub->n_soft > 0)
                (void) remove_soft(stub, stub->soft[stub->n_soft - 1].gva);
        stub->n_hard = 0;
}
