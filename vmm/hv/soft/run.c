/* SPDX-License-Identifier: Apache-2.0 */
/* The run loop of one processor: blocks, and between them whatever else it must look at. */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/native.h"
#include "vmm/hv/soft/soft_internal.h"

/* Blocks between two looks at the timer. */
#define TIMER_BLOCKS 2048

/* ---- flags and modes ---- */

/** cpu_flags() - RFLAGS as PUSHF shows it */
uint32_t cpu_flags(const SoftCpu *c) {
        uint32_t af = c->af;

        return c->flags | FLAG_FIXED | (af & AF_CF ? FLAG_CF : 0) | (af & AF_PF ? FLAG_PF : 0) |
               (af & AF_AF ? FLAG_AF : 0) | (af & AF_ZF ? FLAG_ZF : 0) |
               (af & AF_SF ? FLAG_SF : 0) | (af & AF_OF ? FLAG_OF : 0);
}

/** cpu_set_flags() - replace the bits of RFLAGS that @mask selects */
void cpu_set_flags(SoftCpu *c, uint32_t flags, uint32_t mask) {
        uint32_t v = (cpu_flags(c) & ~mask) | (flags & mask);

        c->af = (v & FLAG_CF ? AF_CF : 0) | (v & FLAG_PF ? AF_PF : 0) | (v & FLAG_AF ? AF_AF : 0) |
                (v & FLAG_ZF ? AF_ZF : 0) | (v & FLAG_SF ? AF_SF : 0) | (v & FLAG_OF ? AF_OF : 0);
        if (unlikely((v ^ c->flags) & FLAG_AC & mask)) {
                c->flags = v & ~(FLAGS_ARITH | FLAG_FIXED);
                tlb_role_changed(c);
                return;
        }
        c->flags = v & ~(FLAGS_ARITH | FLAG_FIXED);
}

/** cpu_mode_changed() - work out what follows from CS, SS, CPL and the control registers */
void cpu_mode_changed(SoftCpu *c) {
        uint8_t mode;

        if (cpu_long_mode(c) && (c->seg[SEG_CS].attr & SEG_ATTR_L))
                mode = MODE_64;
        else
                mode = c->seg[SEG_CS].attr & SEG_ATTR_DB ? MODE_32 : MODE_16;
        if (mode != MODE_64 && (c->seg[SEG_SS].attr & SEG_ATTR_DB))
                mode |= MODE_STACK32;
        if (mode != MODE_64 && c->seg[SEG_CS].base == 0 && c->seg[SEG_CS].limit == UINT32_MAX)
                mode |= MODE_FLAT;
        c->mode = mode;
        for (unsigned i = 0; i < N_SEGS; i++)
                c->seg_base_effective[i] =
                        mode == MODE_64 && i != SEG_FS && i != SEG_GS ? 0 : c->seg[i].base;
        tlb_role_changed(c);
        c->jump_mode = mode | (c->cpl == 3 ? JUMP_USER : 0);
}

/** cpu_tsc() - the time stamp counter: guest nanoseconds plus what the guest wrote to it */
uint64_t cpu_tsc(SoftCpu *c) {
        return soft_time_nsec(c->partition) + (uint64_t) c->tsc_offset;
}

/* ---- faults ---- */

/**
 * cpu_raise_code() - abandon the instruction of @u (NULL: rip is right already) with an exception
 * and its code
 */
_Noreturn void cpu_raise_code(SoftCpu *c, const Uop *u, unsigned vector, uint32_t code) {
        if (u)
                c->rip = uop_rip(c, u) & ip_mask(c);
        c->post_write = 0;
        c->fault_vector = vector;
        c->fault_has_code = true;
        c->fault_code = code;
        longjmp(c->on_fault, 1);
}

/** cpu_raise() - the same for exceptions without a code */
_Noreturn void cpu_raise(SoftCpu *c, const Uop *u, unsigned vector) {
        if (u)
                c->rip = uop_rip(c, u) & ip_mask(c);
        c->post_write = 0;
        c->fault_vector = vector;
        c->fault_has_code = false;
        c->fault_code = 0;
        longjmp(c->on_fault, 1);
}

static bool contributory(unsigned vector) {
        return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* Delivers the exception that cpu_raise() noted; a fault on the way comes back here with the depth raised. */
static void deliver_exception(SoftCpu *c) {
        if (c->exception_depth > 0) {
                unsigned first = c->first_vector;

                if (first == EXC_DF) {
                        c->halt = HALT_TRIPLE_FAULT;
                        return;
                }
                if ((contributory(first) && contributory(c->fault_vector)) ||
                    (first == EXC_PF &&
                     (contributory(c->fault_vector) || c->fault_vector == EXC_PF))) {
                        c->fault_vector = EXC_DF;
                        c->fault_has_code = true;
                        c->fault_code = 0;
                }
        }
        c->exception_depth = 1;
        c->first_vector = c->fault_vector;
        c->shadow = 0;
        c->single = false;
        if (c->fault_vector != EXC_DB)
                c->flags |= FLAG_RF;
        (void) interrupt_deliver(c, c->fault_vector, false, c->fault_has_code && cpu_protected(c),
                                 c->fault_code, c->rip);
        c->exception_depth = 0;
}

/* ---- attention ---- */

static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t due_nsec) {
        struct timespec ts = {.tv_sec = (time_t) (due_nsec / NSEC_PER_SEC),
                              .tv_nsec = (long) (due_nsec % NSEC_PER_SEC)};

        (void) syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value,
                       due_nsec == UINT64_MAX ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
}

/** cpu_attention() - make the processor look at @what before its next block; any thread */
void cpu_attention(SoftCpu *c, uint32_t what) {
        uint32_t old = atomic_fetch_or(&c->attention, what);

        if (!(old & what) && atomic_load(&c->sleeping))
                (void) syscall(SYS_futex, &c->attention, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void start_ap(SoftCpu *c) {
        c->activity = ACTIVITY_RUNNING;
        c->rip = 0;
        c->seg[SEG_CS] = (Segment){.selector = (uint16_t) (c->sipi_vector << 8),
                                   .base = (uint64_t) c->sipi_vector << 12,
                                   .limit = 0xffff,
                                   .attr = 0x9b};
        cpu_mode_changed(c);
}

/* Sleeps until somebody wants the processor, its timer is due or @until_nsec has come. */
static void wait(SoftCpu *c, uint64_t until_nsec) {
        uint64_t due = lapic_timer_due(c->lapic);

        if (!ADD_CHECKED(due, c->partition->time_base_nsec, &due))
                due = UINT64_MAX;
        due = MIN(due, until_nsec);
        atomic_store(&c->partition->in_guest[c->index], false);
        atomic_store(&c->sleeping, true);
        if (atomic_load(&c->attention) == 0)
                futex_wait(&c->attention, 0, due);
        atomic_store(&c->sleeping, false);
        atomic_store(&c->partition->in_guest[c->index], true);
        /* Translations that others asked to drop while we were out. */
        if (atomic_load(&c->partition->flush_done[c->index]) !=
            atomic_load(&c->partition->flush_request))
                atomic_fetch_or(&c->attention, ATTENTION_FLUSH);
        lapic_timer_poll(c->lapic, soft_time_nsec(c->partition));
}

static void count_bus_locks(SoftCpu *c) {
        const uint64_t until =
                bus_lock_limit_add(&c->partition->bus_locks, clock_monotonic_nsec(), c->bus_locks);

        c->io->count_bus_locks(c->io->machine, c->bus_locks);
        c->bus_locks = 0;
        c->rest_until_nsec = MAX(c->rest_until_nsec, until);
}

/* Return: whether the processor did rest for its bus locks, and others may have come with something. */
static bool rest(SoftCpu *c) {
        if (clock_monotonic_nsec() >= c->rest_until_nsec) {
                c->rest_until_nsec = 0;
                return false;
        }
        wait(c, c->rest_until_nsec);
        return true;
}

static bool interrupt_now(SoftCpu *c) {
        int vector;

        if (c->index == 0 && atomic_load(&c->partition->extint) && lapic_accepts_extint(c->lapic)) {
                vector = c->io->acknowledge_pic(c->io->machine);
                if (vector >= 0)
                        goto deliver;
        }
        vector = lapic_acknowledge(c->lapic);
        if (vector < 0)
                return false;
deliver:
        c->activity = ACTIVITY_RUNNING;
        if (!c->debug_armed)
                c->flags &= ~FLAG_RF; /* kept exactly only while it means something */
        c->blocked = true; /* what else waits is looked at again, even if the delivery faults */
        (void) interrupt_deliver(c, (unsigned) vector, false, false, 0, c->rip);
        return true;
}

static bool interrupt_waits(SoftCpu *c) {
        return lapic_pending(c->lapic) || (c->index == 0 && atomic_load(&c->partition->extint) &&
                                           lapic_accepts_extint(c->lapic));
}

/* What would end HLT is there. */
static bool wakes(SoftCpu *c) {
        return (c->nmi_pending && !c->nmi_masked) || ((c->flags & FLAG_IF) && interrupt_waits(c));
}

/* One may wait while a handler runs, and two that arrive together are both delivered. */
static void take_nmi_requests(SoftCpu *c) {
        const unsigned max = c->nmi_masked ? 1 : 2;
        const unsigned requests = atomic_exchange(&c->nmi_requests, 0);

        c->nmi_pending = requests > max ? max : MIN(c->nmi_pending + requests, max);
}

/* @held: the last instruction holds off interrupts for one more */
static void deliver_waiting(SoftCpu *c, bool held) {
        if (c->nmi_pending && !c->nmi_masked && held) {
                c->blocked = true;
        } else if (c->nmi_pending && !c->nmi_masked) {
                c->nmi_pending--;
                c->nmi_masked = true;
                c->activity = ACTIVITY_RUNNING;
                c->blocked = true;
                (void) interrupt_deliver(c, EXC_NMI, false, false, 0, c->rip);
        }
        if ((c->flags & FLAG_IF) && !held)
                (void) interrupt_now(c);
        else if (interrupt_waits(c))
                c->blocked = true; /* after the next block */
}

/* What set_state() left to be delivered first of all. */
static void deliver_injected(SoftCpu *c) {
        const Injected event = c->injected;

        c->injected = (Injected){.kind = INJECTED_NONE};
        switch (event.kind) {
        case INJECTED_NONE:
                break;
        case INJECTED_INTERRUPT:
                (void) interrupt_deliver(c, event.vector, event.software, false, 0, c->rip);
                break;
        case INJECTED_EXCEPTION:
                if (event.vector ==
                    EXC_BP) { /* a trap of one byte, which has not been passed yet */
                        (void) interrupt_deliver(c, EXC_BP, true, false, 0,
                                                 (c->rip + 1) & ip_mask(c));
                        break;
                }
                c->fault_vector = event.vector;
                c->fault_has_code = event.has_code;
                c->fault_code = event.code;
                deliver_exception(c);
                break;
        }
}

/* INIT, SIPI and NMI that came from others. */
static void take_signals(SoftCpu *c, uint32_t what) {
        if (what & ATTENTION_INIT) {
                soft_cpu_reset(c, true);
                c->activity = c->index == 0 ? ACTIVITY_RUNNING : ACTIVITY_WAIT_FOR_SIPI;
        }
        if ((what & ATTENTION_SIPI) && c->activity == ACTIVITY_WAIT_FOR_SIPI)
                start_ap(c);
        if (what & ATTENTION_NMI)
                take_nmi_requests(c);
}

/** soft_cpu_settle() - what is on its way to the processor arrives; on its thread, outside of soft_cpu_run() */
void soft_cpu_settle(SoftCpu *c) {
        const uint32_t signals = ATTENTION_INIT | ATTENTION_SIPI | ATTENTION_NMI;

        take_signals(c, atomic_fetch_and(&c->attention, ~signals) & signals);
}

/* Everything between blocks. Return: whether to go on with the guest. */
static bool service(SoftCpu *c) {
        for (;;) {
                uint32_t what = atomic_exchange(&c->attention, 0);
                bool held = c->shadow;

                c->blocked = false;
                if (atomic_load(c->stop)) {
                        atomic_fetch_or(&c->attention, what); /* for when it goes on */
                        c->halt = HALT_STOP;
                        return false;
                }
                if (what & ATTENTION_FLUSH) {
                        uint32_t request = atomic_load(&c->partition->flush_request);

                        tlb_drop_writes(c, NULL);
                        atomic_store(&c->partition->flush_done[c->index], request);
                }
                if (what & ATTENTION_FLUSH_ALL)
                        tlb_flush_all(c);
                if (what & ATTENTION_TIMER)
                        lapic_timer_poll(c->lapic, soft_time_nsec(c->partition));
                take_signals(c, what);
                if (what & ATTENTION_BUS_LOCK)
                        count_bus_locks(c);
                if (c->activity >= ACTIVITY_WAIT_FOR_INIT) {
                        wait(c, UINT64_MAX);
                        continue;
                }
                if (unlikely(c->rest_until_nsec) && rest(c))
                        continue;
                if (!c->debugged || !c->debug.block_interrupts)
                        deliver_waiting(c, held);
                else if (c->activity == ACTIVITY_HALTED && wakes(c))
                        c->activity = ACTIVITY_RUNNING; /* the step goes on, the interrupt waits */
                if (c->activity == ACTIVITY_HALTED) {
                        wait(c, UINT64_MAX);
                        continue;
                }
                return true;
        }
}

/* ---- floating point state around a run ---- */

/** soft_fpu_enter() - make the host's floating point state the guest's; @host_x87: 512 bytes, aligned to 16 */
void soft_fpu_enter(SoftCpu *c, uint32_t *host_mxcsr, uint8_t *host_x87) {
        *host_mxcsr = __builtin_ia32_stmxcsr();
        __asm__ volatile("fxsave64 (%0)" : : "r"(host_x87) : "memory");
        c->x87_watch = (c->fxstate[0] & 0x3f) != 0x3f || (c->fxstate[2] & 0x80);
        __asm__ volatile("fxrstor64 (%0)"
                         :
                         : "r"(c->fxstate)
                         : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
        __builtin_ia32_ldmxcsr(c->mxcsr | 0x1f80);
}

/** soft_fpu_leave() - undo soft_fpu_enter(), keeping the guest's state in @c */
void soft_fpu_leave(SoftCpu *c, uint32_t host_mxcsr, const uint8_t *host_x87) {
        c->mxcsr |= __builtin_ia32_stmxcsr() & 0x3f;
        __asm__ volatile("fxsave64 (%0)" : : "r"(c->fxstate) : "memory");
        __asm__ volatile("fxrstor64 (%0)"
                         :
                         : "r"(host_x87)
                         : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
        __builtin_ia32_ldmxcsr(host_mxcsr);
}

/* ---- the loop ---- */

static inline Block *next_block(SoftCpu *c, Block *from) {
        if (c->exit_link)
                return block_find_and_chain(c);
        if (!from)
                return block_find(c);
        for (unsigned i = 0; i < from->n_links; i++) {
                const BlockLink *link = &block_links(from)[i];

                if (link->rip == c->rip && link->generation == c->generation[link->which] &&
                    link->cpl == c->cpl && link->block &&
                    *link->block->page_version == link->block->version)
                        return link->block;
        }
        return block_find_and_link(c, from);
}

/* One instruction, and what debugging has to say before and after it. */
static void step(SoftCpu *c) {
        const bool traced = c->flags & FLAG_TF;
        const Block *b;

        if (c->debug_armed && !(c->flags & FLAG_RF) && c->shadow != SHADOW_MOV_SS) {
                if (debug_stop_before(c))
                        return;
                debug_check_code(c);
        }
        c->single = true;
        b = block_find(c);
        c->single = false;
        c->flags &= ~FLAG_RF;
        c->shadow = 0;
        c->event = false;
        c->r[REG_BLOCK] = c->rip;
        b->uops[0].fn(c, b->uops);
        if (c->halt != HALT_NONE || debug_stop_after(c))
                return;
        if (c->shadow == SHADOW_MOV_SS)
                return; /* its own step is never told, its watchpoints after the next instruction */
        if (c->debug_hits || (traced && !c->event)) {
                c->activity = ACTIVITY_RUNNING; /* also after HLT */
                debug_raise(c, NULL, traced && !c->event ? DR6_BS : 0);
        }
}

static inline bool must_step(SoftCpu *c) {
        if (likely(!(c->flags & FLAG_TF) && !c->debug_armed && !c->shadow))
                return false;
        if ((c->flags & FLAG_TF) || c->debug_armed || c->blocked)
                return true;
        c->shadow = 0; /* nothing waits for its end */
        return false;
}

static void run_blocks(SoftCpu *c) {
        Block *b = NULL;

        c->exit_link = NULL;
        while (c->halt == HALT_NONE) {
                if (unlikely(--c->budget < 0)) {
                        c->budget = TIMER_BLOCKS;
                        lapic_timer_poll(c->lapic, soft_time_nsec(c->partition));
                }
                if (unlikely(atomic_load_explicit(&c->attention, memory_order_relaxed) ||
                             c->blocked)) {
                        if (!service(c))
                                return;
                        b = NULL;
                        c->exit_link = NULL;
                }
                if (unlikely(must_step(c))) {
                        b = NULL;
                        c->exit_link = NULL;
                        step(c);
                        continue;
                }
                b = block_warm(c, next_block(c, b));
                c->r[REG_BLOCK] = c->rip;
                b->uops[0].fn(c, b->uops);
                if (b->n_links == 0)
                        b = NULL;
        }
}

/** soft_cpu_run() - run guest code on this thread until the machine must stop */
HaltReason soft_cpu_run(SoftCpu *c, const CpuIo *io, const _Atomic bool *stop) {
        uint8_t host_x87[512] __attribute__((aligned(16)));
        uint32_t host_mxcsr;

        c->io = io;
        c->stop = stop;
        c->halt = HALT_NONE;
        atomic_store(&c->partition->in_guest[c->index], true);
        atomic_fetch_or(&c->attention, ATTENTION_FLUSH | ATTENTION_KICK);
        (void) lapic_timer_due(c->lapic); /* what passed outside was not waiting for the host */
        soft_fpu_enter(c, &host_mxcsr, host_x87);
        if (setjmp(c->on_fault) != 0) {
                deliver_exception(c);
                (void) debug_stop_after(c);
        } else {
                deliver_injected(c);
        }
        run_blocks(c);
        soft_fpu_leave(c, host_mxcsr, host_x87);
        atomic_store(&c->partition->in_guest[c->index], false);
        return c->halt;
}

/* ---- kvmclock ---- */

typedef struct PvclockTime {
        uint32_t version, pad0;
        uint64_t tsc_timestamp, system_time;
        uint32_t tsc_to_system_mul;
        int8_t tsc_shift;
        uint8_t flags, pad[2];
} PvclockTime;

/** soft_kvm_system_time() - the guest registered its clock page: one tick of the TSC is one nanosecond */
void soft_kvm_system_time(SoftCpu *c) {
        const PvclockTime t = {
                .version = 2,
                .tsc_timestamp = (uint64_t) c->tsc_offset,
                .tsc_to_system_mul = 0x80000000u,
                .tsc_shift = 1,
                .flags = 1, /* stable across processors */
        };

        /* In one go: it changes only by a write to this processor's own counter. */
        if (c->kvmclock_msr & 1)
                (void) guest_mem_write(c->partition->mem, c->kvmclock_msr & ~UINT64_C(1), &t,
                                       sizeof(t));
}

/** soft_kvm_wall_clock() - write the wall clock time of boot to @gpa, as kvmclock asks */
void soft_kvm_wall_clock(SoftCpu *c, uint64_t gpa) {
        uint64_t boot = clock_realtime_usec() * 1000 - soft_time_nsec(c->partition);
        struct {
                uint32_t version, sec, nsec;
        } w = {2, (uint32_t) (boot / NSEC_PER_SEC), (uint32_t) (boot % NSEC_PER_SEC)};

        (void) guest_mem_write(c->partition->mem, gpa, &w, sizeof(w));
}

/* ---- making and resetting ---- */

/** soft_cpu_new() - a processor after RESET#, owned by the caller. Return: 0 or negative errno. */
int soft_cpu_new(SoftPartition *p, unsigned index, SoftCpu **ret) {
        SoftCpu *c = aligned_alloc(64, (sizeof(SoftCpu) + 63) & ~(size_t) 63);
        int r;

        if (!c)
                return -ENOMEM;
        memset(c, 0, sizeof(*c));
        c->partition = p;
        c->index = index;
        c->n_vcpus = p->n_vcpus;
        c->foreign_writers = p->foreign_writers;
        c->model = &p->model;
        c->cr4_known = soft_cr4_known(&p->model);
        c->n_tlbs = MMU_SUPERVISOR_AC; /* not that one yet */
        for (unsigned i = 0; i < WAYS; i++)
                c->generation[i] = 1; /* what memset() left is of none */
        c->native_heat = NATIVE_HEAT;
        c->fxstate = aligned_alloc(64, 512);
        c->temp_block = malloc(sizeof(Block) + (BLOCK_UOPS_MAX + 1) * sizeof(Uop));
        if (!c->fxstate || !c->temp_block) {
                soft_cpu_free(c);
                return -ENOMEM;
        }
        r = lapic_new(c, &c->lapic);
        if (r >= 0)
                r = block_cache_new(c->n_vcpus, &c->cache);
        if (r >= 0)
                r = thunk_cache_new(&c->thunks);
        if (r >= 0)
                r = native_cache_new(c->cache, bus_lock_limit_is_on(&p->bus_locks), &c->native);
        if (r < 0) {
                soft_cpu_free(c);
                return r;
        }
        thunk_cache_limit(c->thunks, soft_model_leaf1_ecx(c->model));
        soft_cpu_reset(c, false);
        *ret = c;
        return 0;
}

/** soft_cpu_free() - release, also half-built; not while it runs */
void soft_cpu_free(SoftCpu *c) {
        if (!c)
                return;
        split_free(c);
        native_cache_free(c->native);
        thunk_cache_free(c->thunks);
        block_cache_free(c->cache);
        lapic_free(c->lapic);
        free(c->temp_block);
        free(c->fxstate);
        free(c);
}

/** soft_cpu_reset() - RESET#, or INIT, which keeps floating point state, the TSC and the APIC's base */
void soft_cpu_reset(SoftCpu *c, bool init) {
        memset(c->r, 0, sizeof(c->r));
        c->r[RDX] = 0x000106ca;
        c->rip = 0xfff0;
        c->af = 0;
        c->flags = 0;
        c->cpl = 0;
        c->shadow = 0;
        c->post_write = 0;
        c->exception_depth = 0;
        c->injected = (Injected){.kind = INJECTED_NONE};
        for (unsigned i = 0; i < N_SEGS; i++)
                c->seg[i] = (Segment){.limit = 0xffff, .attr = 0x93};
        c->seg[SEG_CS] =
                (Segment){.selector = 0xf000, .base = 0xffff0000u, .limit = 0xffff, .attr = 0x9b};
        c->tr = (Segment){.limit = 0xffff, .attr = 0x8b};
        c->ldtr = (Segment){.limit = 0xffff, .attr = 0x82};
        c->gdt_base = c->idt_base = 0;
        c->gdt_limit = c->idt_limit = 0xffff;
        c->cr0 = CR0_CD | CR0_NW | CR0_ET;
        c->cr2 = c->cr3 = c->cr4 = c->efer = 0;
        memset(c->dr, 0, sizeof(c->dr));
        c->dr[6] = 0xffff0ff0u;
        c->dr[7] = 0x400;
        c->debug_hits = 0;
        debug_changed(c);
        c->nmi_pending = 0;
        c->nmi_masked = false;
        atomic_store(&c->nmi_requests, 0);
        if (!init) {
                c->pat = UINT64_C(0x0007040600070406);
                c->mxcsr = 0x1f80;
                memset(c->xmm, 0, sizeof(c->xmm));
                memset(c->fxstate, 0, 512);
                c->fxstate[0] = 0x7f;
                c->fxstate[1] = 0x03;
                c->fxstate[24] = 0x80;
                c->fxstate[25] = 0x1f;
                c->star = c->lstar = c->cstar = c->sfmask = c->kernel_gs_base = 0;
                c->sysenter_cs = c->sysenter_esp = c->sysenter_eip = 0;
                c->tsc_aux = 0;
                c->xcr0 = XSTATE_X87;
                c->pkru = c->pkrs = 0;
                c->misc_enable = 1;
                c->kvmclock_msr = 0;
        }
        c->activity = c->index == 0 ? ACTIVITY_RUNNING
                      : init        ? ACTIVITY_WAIT_FOR_SIPI
                                    : ACTIVITY_WAIT_FOR_INIT;
        lapic_reset(c->lapic, c->index == 0, init);
        cpu_mode_changed(c);
        tlb_flush_all(c);
}
