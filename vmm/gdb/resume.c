/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/gdb/stub_internal.h"

#define SIGNAL_INT 2u
#define SIGNAL_TRAP 5u

/** stub_parse_thread() - a thread id: a vCPU's number from 1, 0 for any, -1 for all. Return: whether there was one. */
bool stub_parse_thread(const char **text, int64_t *ret) {
        uint64_t number;

        if ((*text)[0] == '-' && (*text)[1] == '1') {
                *text += 2;
                *ret = -1;
                return true;
        }
        if (!rsp_number(text, &number) || number > HV_VCPUS_MAX)
                return false;
        *ret = (int64_t) number;
        return true;
}

static void init_plan(const GdbStub *stub, GdbPlan *plan) {
        *plan = (GdbPlan){.catch_breakpoints = stub->n_soft > 0, .n_breaks = stub->n_hard};
        memcpy(plan->breaks, stub->hard, sizeof(plan->breaks));
}

static void go_on(GdbStub *stub, const GdbPlan *plan) {
        int r;

        stub->running = true;
        r = stub->ops->go_on(stub->target, plan);
        if (r < 0) {
                stub->running = false;
                stub_answer_errno(stub, r);
        }
}

/* The first action that speaks of a thread is the one that counts for it. */
static void apply_action(const GdbStub *stub, GdbPlan *plan, bool *decided, int64_t thread,
                         GdbAction action) {
        unsigned n = stub->ops->count_vcpus(stub->target);

        for (unsigned i = 0; i < n; i++) {
                bool meant = thread == -1 || thread == (int64_t) i + 1 ||
                             (thread == 0 && i == stub->current);

                if (meant && !decided[i]) {
                        plan->actions[i] = action;
                        decided[i] = true;
                }
        }
}

/* One of "c", "s", "Csig", "Ssig", each with ":thread" or for all; the signals do not matter to processors. */
static bool parse_action(const char **text, GdbAction *ret_action, int64_t *ret_thread) {
        const char letter = *(*text)++;
        uint64_t signal;

        if (letter != 'c' && letter != 's' && letter != 'C' && letter != 'S')
                return false;
        if ((letter == 'C' || letter == 'S') && !rsp_number(text, &signal))
                return false;
        *ret_action = letter == 'c' || letter == 'C' ? GDB_CONTINUE : GDB_STEP;
        *ret_thread = -1;
        if (**text == ':') {
                (*text)++;
                return stub_parse_thread(text, ret_thread);
        }
        return true;
}

/** stub_handle_vcont() - "vCont?", or "vCont" and actions behind semicolons */
void stub_handle_vcont(GdbStub *stub, const char *packet) {
        const char *p = packet + strlen("vCont");
        bool decided[HV_VCPUS_MAX] = {false};
        GdbPlan plan;

        if (*p == '?') {
                stub_answer(stub, "vCont;c;C;s;S");
                return;
        }
        init_plan(stub, &plan);
        while (*p == ';') {
                GdbAction action;
                int64_t thread;

                p++;
                if (!parse_action(&p, &action, &thread)) {
                        stub_answer_errno(stub, -EINVAL);
                        return;
                }
                apply_action(stub, &plan, decided, thread, action);
        }
        if (*p) {
                stub_answer_errno(stub, -EINVAL);
                return;
        }
        go_on(stub, &plan);
}

/** stub_handle_resume() - "c" and "s" without an address, of debuggers that do not use vCont */
void stub_handle_resume(GdbStub *stub, const char *packet) {
        GdbPlan plan;

        if (packet[1]) {
                stub_answer_errno(stub, -EINVAL);
                return;
        }
        init_plan(stub, &plan);
        for (unsigned i = 0; i < stub->ops->count_vcpus(stub->target); i++)
                plan.actions[i] = GDB_CONTINUE;
        if (packet[0] == 's')
                plan.actions[stub->current] = GDB_STEP;
        go_on(stub, &plan);
}

/* What the last stop was, as gdb wants it behind the signal: "name:value;". */
static void describe_cause(const GdbStub *stub, char *buf, size_t size) {
        const GdbStop *stop = &stub->stop;
        const VcpuBreak *hit;

        buf[0] = '\0';
        if (!stop->debug)
                return;
        switch (stop->cause.cause) {
        case VCPU_DEBUG_STEP:
                return;
        case VCPU_DEBUG_BREAKPOINT:
                (void) snprintf(buf, size, "swbreak:;");
                return;
        case VCPU_DEBUG_BREAK:
                break;
        }
        if (stop->cause.which >= stub->n_hard)
                return;
        hit = &stub->hard[stop->cause.which];
        switch (hit->kind) {
        case VCPU_BREAK_EXECUTE:
                (void) snprintf(buf, size, "hwbreak:;");
                return;
        case VCPU_BREAK_WRITE:
                (void) snprintf(buf, size, "watch:%" PRIx64 ";", hit->gva);
                return;
        case VCPU_BREAK_READ_WRITE:
                (void) snprintf(buf, size, "awatch:%" PRIx64 ";", hit->gva);
                return;
        }
}

/** stub_answer_stop() - the stop reply of the last stop */
void stub_answer_stop(GdbStub *stub) {
        char cause[48], text[96];

        describe_cause(stub, cause, sizeof(cause));
        (void) snprintf(text, sizeof(text), "T%02xthread:%x;%s",
                        stub->stop.debug ? SIGNAL_TRAP : SIGNAL_INT, stub->stop.vcpu + 1, cause);
        stub_answer(stub, text);
}

/** gdb_stub_stopped() - the machine has stopped while it ran */
void gdb_stub_stopped(GdbStub *stub, const GdbStop *stop) {
        stub->stop = *stop;
        stub->current = stop->vcpu;
        if (!stub->running)
                return;
        stub->running = false;
        stub_answer_stop(stub);
}
