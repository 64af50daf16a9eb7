/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The software processor: its state, its decoded form of instructions and what its files offer each other.
 *
 * Guest code is decoded once into blocks of Uops, each a handler and its operands; a handler does its work and calls
 * the next Uop's, so that a block runs as one chain of calls. Arithmetic is done by the host's own instruction of the
 * same name, and the host's flags are kept as they come out: results and flags are exact by construction.
 * A handler that faults jumps back to the run loop; it must not have changed any guest state by then.
 */

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/hv/hv.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

typedef struct SoftCpu SoftCpu;
typedef struct SoftPartition SoftPartition;
typedef struct Lapic Lapic;
typedef struct SoftModel SoftModel;
typedef struct Uop Uop;
typedef struct Block Block;
typedef void (*UopFn)(SoftCpu *c, const Uop *u);

enum {
        RAX,
        RCX,
        RDX,
        RBX,
        RSP,
        RBP,
        RSI,
        RDI,
        R8,
        R9,
        R10,
        R11,
        R12,
        R13,
        R14,
        R15,
        REG_ZERO,
        REG_BLOCK,
        N_REGS
};
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, N_SEGS };

enum {
        EXC_DE = 0,
        EXC_DB = 1,
        EXC_NMI = 2,
        EXC_BP = 3,
        EXC_OF = 4,
        EXC_BR = 5,
        EXC_UD = 6,
        EXC_NM = 7,
        EXC_DF = 8,
        EXC_TS = 10,
        EXC_NP = 11,
        EXC_SS = 12,
        EXC_GP = 13,
        EXC_PF = 14,
        EXC_MF = 16,
        EXC_AC = 17,
        EXC_XM = 19,
};

/* Host flags as `lahf; seto %al` leaves them in AX. */
#define AF_OF 0x0001u
#define AF_CF 0x0100u
#define AF_PF 0x0400u
#define AF_AF 0x1000u
#define AF_ZF 0x4000u
#define AF_SF 0x8000u

#define FLAG_CF 0x1u
#define FLAG_FIXED 0x2u
#define FLAG_PF 0x4u
#define FLAG_AF 0x10u
#define FLAG_ZF 0x40u
#define FLAG_SF 0x80u
#define FLAG_TF 0x100u
#define FLAG_IF 0x200u
#define FLAG_DF 0x400u
#define FLAG_OF 0x800u
#define FLAG_IOPL 0x3000u
#define FLAG_NT 0x4000u
#define FLAG_RF 0x10000u
#define FLAG_VM 0x20000u
#define FLAG_AC 0x40000u
#define FLAG_VIF 0x80000u
#define FLAG_VIP 0x100000u
#define FLAG_ID 0x200000u
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u
#define CR3_PCID 0xfffu
#define CR4_VME 0x1u
#define CR4_PVI 0x2u
#define CR4_TSD 0x4u
#define CR4_DE 0x8u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_PGE 0x80u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP 0x800u
#define CR4_FSGSBASE 0x10000u
#define CR4_PCIDE 0x20000u
#define CR4_OSXSAVE 0x40000u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u
#define CR4_PKE 0x400000u
#define CR4_PKS 0x1000000u
#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NX 0x800u

/* Code size of a block's mode; stack size beside it. */
#define MODE_16 0u
#define MODE_32 1u
#define MODE_64 2u
#define MODE_CODE 3u
#define MODE_STACK32 4u
#define MODE_FLAT 8u /* outside 64-bit mode: the code segment is all of the address space */

#define SHADOW_STI 1u    /* no interrupts */
#define SHADOW_MOV_SS 2u /* no interrupts, no debug traps */

#define DR6_BD 0x2000u
#define DR6_BS 0x4000u

/* How a Uop's address is formed. */
#define EA_PLAIN 0u   /* 64-bit, no segment base */
#define EA_SEGMENT 1u /* anything else: ea_slow() */
/* Outside 64-bit mode, what segments ask: how long the operand is, as 1 << 0..4 or one of these, and whether it is written. */
#define EA_BYTES(code) ((code) % 8u << 1 | (code) / 8u << 7)
#define EA_BYTES_CODE(ea) (((ea) >> 1 & 7u) | (ea) >> 7 << 3)
#define EA_BYTES_6 5u
#define EA_BYTES_10 6u
#define EA_BYTES_14 7u
#define EA_BYTES_28 8u
#define EA_BYTES_94 9u
#define EA_BYTES_108 10u
#define EA_BYTES_512 11u
#define EA_BYTES_576 12u
#define EA_WRITE 0x40u

struct Uop {
        UopFn fn;
        uint64_t imm;
        int32_t disp;
        uint8_t base, index, scale, seg;
        uint8_t reg, rm; /* numbers; byte offsets into the registers for 8-bit operands */
        uint16_t ip;     /* of the instruction, from the start of the block */
        uint8_t len;     /* of the instruction in bytes */
        uint8_t size;    /* operand: 0 byte, 1 word, 2 dword, 3 qword */
        uint8_t ea;      /* EA_*; the address size in bits 4-5 */
        uint8_t op;      /* what else the handler must know */
};

#define UOP_ADDRESS_SIZE(u) ((unsigned) (u)->ea >> 4 & 3u)

#define TLB_ENTRIES 1024u
#define TLB_INVALID UINT64_MAX
#define PAGE_MASK (~UINT64_C(0xfff))

#define BLOCK_UOPS_MAX 48u

/* What a way to a block depends on, as numbers of the processor's generations. */
#define WAY_GLOBAL 1u /* the translation is global */
#define WAY_YOUNG 2u  /* the block may make room for others */
#define WAYS 4u

/* A successor that was found before; good while the processor's generation is the same. */
typedef struct BlockLink {
        uint64_t rip;
        Block *block;
        uint64_t generation;
        uint32_t cpl;  /* whose right to execute was checked */
        uint8_t which; /* generation it is */
} BlockLink;

/* A way from one translated block to another, see native_branch.c. */
typedef struct NativeLink {
        const void *code; /* of the other block, or what leaves to find it */
        uint64_t page;    /* the physical page that both lie in, or TLB_INVALID: a NativeFarLink */
} NativeLink;

/* The same to another page, where what was found before must still hold. */
typedef struct NativeFarLink {
        NativeLink link;
        uint64_t rip, generation;
        const uint64_t *generation_at;
        const _Atomic uint32_t *version_at;
        uint32_t version;
        uint8_t cpl;
} NativeFarLink;

struct Block {
        Block *hash_next;
        const void
                *chain; /* host code that other translated blocks jump to; NULL = not translated */
        uint64_t phys;  /* of its first byte */
        const _Atomic uint32_t *page_version;
        uint32_t version;
        uint32_t heat; /* how often the run loop came by */
        uint8_t mode;
        uint8_t n_uops;
        uint16_t n_bytes;
        uint8_t heat_seen; /* as it was when the block was last looked at, see block_cache.c */
        uint8_t n_slots; /* @n_uops, and one that ends the block where the last may go on or write */
        bool kept;       /* it lies where it is until all are forgotten */
        uint8_t n_links; /* of a block that ends in a direct branch and is not translated */
        Uop uops[];
};

/* Successors, behind the Uops: where the branch goes, and behind it. */
#define BLOCK_LINKS_MAX 2u
static inline BlockLink *block_links(Block *b) {
        return (BlockLink *) (void *) &b->uops[b->n_slots];
}

/* Whose rights an access has. Instruction fetches are of the first two only. */
enum {
        MMU_SUPERVISOR, /* with SMAP: not to user pages */
        MMU_USER,
        MMU_SUPERVISOR_AC, /* SMAP is on and EFLAGS.AC suspends it */
        MMU_ROLES
};

typedef struct TlbEntry {
        uint64_t tag;    /* page address, or TLB_INVALID */
        uint64_t addend; /* host address = guest linear address + addend */
} TlbEntry;

typedef struct Tlb {
        TlbEntry read[TLB_ENTRIES], write[TLB_ENTRIES];
        uint8_t global[TLB_ENTRIES]; /* bit 0: read entry, bit 1: write entry */
} Tlb;

typedef struct ExecTlbEntry {
        uint64_t tag;
        uint64_t phys;
        const uint8_t *host; /* of the page; NULL = no RAM there */
        bool global;
} ExecTlbEntry;

#define LARGE_REGIONS 4096u
#define FETCHED_PAGES 16384u
#define JUMP_CACHE 4096u

#define JUMP_USER 0x80u /* in a mode: privilege 3 */

typedef struct JumpEntry {
        uint64_t rip;
        Block *block;
        uint64_t generation;
        uint32_t mode;
        uint8_t which; /* generation it is */
} JumpEntry;

typedef struct Segment {
        uint64_t base;
        uint32_t limit;
        uint16_t selector;
        uint16_t attr; /* descriptor bits 40-55 */
} Segment;

#define SEG_ATTR_TYPE 0x000fu
#define SEG_ATTR_S 0x0010u
#define SEG_ATTR_DPL(a) (((unsigned) (a) >> 5) & 3u)
#define SEG_ATTR_P 0x0080u
#define SEG_ATTR_L 0x2000u
#define SEG_ATTR_DB 0x4000u
#define SEG_ATTR_G 0x8000u

typedef union Xmm {
        uint8_t b[16];
        uint16_t w[8];
        uint32_t d[4];
        uint64_t q[2];
} __attribute__((aligned(16))) Xmm;

typedef enum Activity {
        ACTIVITY_RUNNING,
        ACTIVITY_HALTED,
        ACTIVITY_WAIT_FOR_INIT, /* after RESET#: it hears INIT only */
        ACTIVITY_WAIT_FOR_SIPI,
} Activity;

/* An event that was interrupted on its way to its handler, or that a debugger gives back. */
typedef struct Injected {
        enum { INJECTED_NONE, INJECTED_EXCEPTION, INJECTED_INTERRUPT } kind;
        bool has_code, software;
        uint8_t vector;
        uint32_t code;
} Injected;

/* What CPUID shows, the same on all processors but for the APIC id. */
struct SoftModel {
        unsigned n_vcpus;
        unsigned threads_per_core, cluster_size; /* as in HvConfig */
        CpuFeatureSet features;
};

struct SoftCpu {
        /* What translated code names most is within 127 bytes from here, which makes it shorter. */
        uint32_t af;                /* arithmetic flags, as AF_* */
        _Atomic uint32_t attention; /* ATTENTION_*: look outside the guest before the next block */
        int32_t budget;             /* blocks until the next look at the timer */
        uint32_t jump_mode;         /* mode and privilege, as the jump cache has them */
        const Tlb *tlb;             /* of the current role; one without entries while @aligned */
        uint64_t r[N_REGS];
        uint64_t rip;
        uint32_t flags;         /* all flags but the arithmetic ones */
        NativeLink *exit_link;  /* the way on from the translated block that was left, or NULL */
        uint64_t native_target; /* of a call, while it is under way */
        uint64_t seg_base_effective[N_SEGS]; /* 0 where 64-bit mode ignores the base */
        uint8_t mode;                        /* MODE_* of the next instruction */
        uint8_t cpl;
        uint8_t role;        /* MMU_*: whose rights explicit data accesses have */
        bool aligned;        /* they must be aligned */
        uint8_t shadow;      /* SHADOW_*: what the last instruction holds off for one more */
        bool single;         /* block_find() gives one instruction */
        bool event;          /* the instruction entered a handler: it is not a step */
        bool debug_armed;    /* a breakpoint or watchpoint is enabled */
        bool debug_watches;  /* a watchpoint is */
        uint32_t debug_hits; /* watchpoints hit and not yet told, as DR6 bits */
        bool debugged;       /* a debugger has the debug registers: @debug */
        uint8_t post_write;  /* mem_end() has work to do */
        bool blocked;        /* an interrupt waits for IF or the end of a shadow */
        bool foreign_writers; /* blocks are compared with memory when they are entered, see source.c */
        _Atomic bool sleeping;
        /* Of jump cache and links, by WAY_*. 64 bits, as a guest counts through 32 in minutes. */
        uint64_t generation[WAYS];
        uint64_t large[LARGE_REGIONS / 64]; /* hash of the 4 MiB that a large page was found in */
        uint64_t huge;                      /* hash of the gigabytes that are one page */
        uint64_t
                fetched[FETCHED_PAGES / 64]; /* hash of the pages fetched from in this generation */
        const Uop *cur;                      /* the Uop in a slow path, for faults */
        jmp_buf on_fault;
        unsigned fault_vector;
        bool fault_has_code;
        uint32_t fault_code;

        Segment seg[N_SEGS], tr, ldtr;
        uint64_t gdt_base, idt_base;
        uint16_t gdt_limit, idt_limit;
        uint64_t cr0, cr2, cr3, cr4, cr8, efer, dr[8];
        uint64_t star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp,
                sysenter_eip;
        uint64_t pat, tsc_aux, misc_enable, feat_ctl, kvmclock_msr;
        uint64_t xcr0;
        uint32_t pkru, pkrs; /* two bits a key, KEY_*: of user pages and of supervisor pages */
        VcpuMtrr mtrr;       /* kept for whoever asks; CPUID does not offer MTRRs */
        int64_t tsc_offset;

        Xmm xmm[16];
        Xmm tmp[8];       /* operands of thunks */
        uint32_t mxcsr;   /* guest's control bits; the sticky flags are live in the host's */
        bool x87_watch;   /* an unmasked x87 exception may be pending in the host's registers */
        uint8_t *fxstate; /* 512 bytes: x87 while not running */

        uint8_t bounce[64];
        uint64_t post_va;    /* of the operand */
        uint64_t post_pa[2]; /* of its pages, where it was changed in place */
        uint8_t post_size;
        bool post_bounce;
        uint8_t *split_window; /* owned, NULL until it is needed */
        bool split_mapped;
        uint64_t bus_locks;       /* made since they were last counted, where they are limited */
        uint64_t rest_until_nsec; /* CLOCK_MONOTONIC; made too many of them */

        Tlb tlbs[MMU_ROLES];
        unsigned n_tlbs;                  /* that have been used: the last only with SMAP */
        uint64_t keyed[TLB_ENTRIES / 64]; /* numbers of entries with a key that is not 0 */
        ExecTlbEntry exec_tlb[2][TLB_ENTRIES];
        JumpEntry jumps[JUMP_CACHE];
        struct BlockCache *cache;
        struct ThunkCache *thunks;
        struct NativeCache *native;
        uint32_t native_heat; /* at which a block is translated; NATIVE_HEAT but for tests */
        uint8_t *temp_block;  /* room for one block that is run once */

        Activity activity;
        _Atomic uint8_t sipi_vector;   /* from other threads, with ATTENTION_SIPI */
        _Atomic unsigned nmi_requests; /* from other threads, with ATTENTION_NMI */
        unsigned nmi_pending;          /* at most two: one to deliver, one behind it */
        bool nmi_masked;
        int exception_depth; /* exceptions being delivered: 0, 1 contributory..., for double faults */
        unsigned first_vector;
        HaltReason halt;
        Injected injected;
        VcpuDebug debug; /* while @debugged */
        VcpuDebugStop debug_stop;

        const CpuIo *io;
        const _Atomic bool *stop;
        SoftPartition *partition;
        Lapic *lapic;
        const SoftModel *model; /* the partition's */
        uint64_t cr4_known;     /* bits that the model has */
        unsigned index, n_vcpus, pauses;
};

#define ATTENTION_INTERRUPT 1u /* the local APIC has something */
#define ATTENTION_KICK 2u
#define ATTENTION_FLUSH 4u /* drop write translations */
#define ATTENTION_INIT 8u
#define ATTENTION_SIPI 16u
#define ATTENTION_NMI 32u
#define ATTENTION_EXTINT 64u
#define ATTENTION_TIMER 128u
#define ATTENTION_FLUSH_ALL 256u /* drop all translations: what lies at an address changed */
#define ATTENTION_BUS_LOCK 512u  /* the processor's own */

static inline bool soft_has(const SoftCpu *c, CpuFeature feature) {
        return cpu_feature_set_has(&c->model->features, feature);
}
/* After a device was called, which may have asked for a stop without a kick, being on this thread. */
void cpu_attention(SoftCpu *c, uint32_t what);
static inline void cpu_notice_stop(SoftCpu *c) {
        if (unlikely(atomic_load_explicit(c->stop, memory_order_relaxed)))
                cpu_attention(c, ATTENTION_KICK);
}

static inline bool cpu_long_mode(const SoftCpu *c) {
        return c->efer & EFER_LMA;
}
static inline bool cpu_code64(const SoftCpu *c) {
        return (c->mode & MODE_CODE) == MODE_64;
}
static inline bool cpu_protected(const SoftCpu *c) {
        return c->cr0 & CR0_PE;
}
static inline bool cpu_v86(const SoftCpu *c) {
        return c->flags & FLAG_VM;
}
/* Whether selectors name descriptors. */
static inline bool cpu_descriptors(const SoftCpu *c) {
        return cpu_protected(c) && !cpu_v86(c);
}

/* run.c */
_Noreturn void cpu_raise(SoftCpu *c, const Uop *u, unsigned vector);
_Noreturn void cpu_raise_code(SoftCpu *c, const Uop *u, unsigned vector, uint32_t code);
uint32_t cpu_flags(const SoftCpu *c);
void cpu_set_flags(SoftCpu *c, uint32_t flags, uint32_t mask);
void cpu_mode_changed(SoftCpu *c);
uint64_t cpu_tsc(SoftCpu *c);

/* block_cache.c */
int block_cache_new(unsigned n_vcpus, struct BlockCache **ret);
void block_cache_free(struct BlockCache *cache);
void block_cache_limit(struct BlockCache *cache, size_t young_bytes, size_t kept_bytes);

/* block.c */
void block_cache_flush(SoftCpu *c);
void block_generation_next(SoftCpu *c, bool global_too);
Block *block_find(SoftCpu *c);
Block *block_find_and_link(SoftCpu *c, Block *from);
Block *block_find_and_chain(SoftCpu *c);
Block *block_warm(SoftCpu *c, Block *b);

/* decode.c: fills @uops from the bytes at @code; returns how many, sets @ret_bytes.
 * 0: the first instruction does not end within @avail bytes. */
struct ThunkCache;
unsigned decode_block(struct ThunkCache *thunks, const uint8_t *code, unsigned avail, unsigned mode,
                      unsigned max, Uop *uops, unsigned *ret_bytes);

/* debug.c */
void debug_changed(SoftCpu *c);
int debug_set(SoftCpu *c, const VcpuDebug *debug);
void debug_stop(SoftCpu *c, VcpuDebugCause cause, unsigned which);
bool debug_stop_before(SoftCpu *c);
bool debug_stop_after(SoftCpu *c);
bool debug_page_watched(const SoftCpu *c, uint64_t va);
void debug_check_data(SoftCpu *c, uint64_t va, unsigned size, bool write);
void debug_check_port(SoftCpu *c, uint16_t port, unsigned size);
void debug_check_code(SoftCpu *c);
void debug_check_access(SoftCpu *c, const Uop *u);
void debug_enter(SoftCpu *c, uint32_t causes);
_Noreturn void debug_raise(SoftCpu *c, const Uop *u, uint32_t causes);

/* mmu.c */
#define ACCESS_READ 0u
#define ACCESS_WRITE 2u
#define ACCESS_EXEC 16u
#define ACCESS_PEEK 32u /* for debuggers: no rights are asked for and no bits set */
typedef struct MmuWalk {
        uint64_t pa;
        bool global;
        uint8_t key;    /* 0 too where keys are off */
        unsigned shift; /* of the page's size */
        uint32_t error; /* the page fault's, if there is one */
} MmuWalk;
bool mmu_translate(SoftCpu *c, uint64_t va, unsigned access, unsigned role, MmuWalk *ret);
void mmu_translate_or_fault(SoftCpu *c, const Uop *u, uint64_t va, unsigned access, unsigned role,
                            MmuWalk *ret);
_Noreturn void mmu_not_canonical(SoftCpu *c, const Uop *u);
bool mmu_pdptes_valid(SoftCpu *c, uint64_t cr3);

/* tlb.c */
void tlb_role_changed(SoftCpu *c);
uint8_t *tlb_miss(SoftCpu *c, const Uop *u, uint64_t va, unsigned access, unsigned role,
                  uint64_t *ret_pa);
void tlb_flush_all(SoftCpu *c);
void tlb_flush_nonglobal(SoftCpu *c);
void tlb_flush_page(SoftCpu *c, uint64_t va);
void tlb_drop_writes(SoftCpu *c, const uint8_t *host_page);
void tlb_flush_keyed(SoftCpu *c);
const uint8_t *tlb_fetch_page(SoftCpu *c, uint64_t va, uint64_t *ret_phys, bool *ret_global);

/* access.c; the fast paths are in access.h */
uint64_t mem_read_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size);
void mem_write_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, uint64_t value);
uint8_t *mem_begin_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, bool locked);
void mem_end_slow(SoftCpu *c, const Uop *u);
void mem_need_aligned(SoftCpu *c, const Uop *u, uint64_t va, unsigned size);
void mem_write_as(SoftCpu *c, const Uop *u, unsigned role, uint64_t va, unsigned size,
                  uint64_t value);
void mem_read_bytes(SoftCpu *c, const Uop *u, uint64_t va, void *data, unsigned len);
void mem_write_bytes(SoftCpu *c, const Uop *u, uint64_t va, const void *data, unsigned len);
uint64_t mem_read_system(SoftCpu *c, const Uop *u, uint64_t va, unsigned size);
void mem_write_system(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, uint64_t value);
uint64_t ea_slow(SoftCpu *c, const Uop *u);

/* split.c */
uint8_t *split_begin(SoftCpu *c, uint8_t *first, uint8_t *second);
void split_end(SoftCpu *c);
void split_free(SoftCpu *c);
void split_count_bus_lock(SoftCpu *c);

/* keys.c */
unsigned keys_of(const SoftCpu *c, uint64_t entry, bool user_page);
bool keys_refuse(const SoftCpu *c, unsigned access, unsigned role, uint64_t entry, bool user_page);
void keys_set_user(SoftCpu *c, uint32_t pkru);
void keys_set_supervisor(SoftCpu *c, uint32_t pkrs);

/* exec_xsave.c */
#define XSTATE_X87 1u
#define XSTATE_SSE 2u
#define XSTATE_PKRU 0x200u
#define XSAVE_HEADER 512u
#define XSAVE_PKRU 0xa80u /* where the component lies, as on all of Intel's */
#define XSAVE_PKRU_BYTES 8u
uint64_t soft_xcr0_known(const SoftModel *model);
uint32_t soft_xsave_bytes(uint64_t xcr0);
bool xcr0_valid(const SoftCpu *c, uint64_t v);
void fpu_control_changed(SoftCpu *c);

/* partition.c: what is shared between processors */
uint8_t *ram_host(SoftPartition *p, uint64_t pa);
const uint8_t *rom_host(SoftPartition *p, uint64_t pa);
_Atomic uint32_t *ram_page_version(SoftPartition *p, uint64_t pa);
bool ram_page_has_code(SoftPartition *p, uint64_t pa);
bool ram_page_add_code(SoftCpu *c, uint64_t pa, const uint8_t *host_page); /* true: may be cached */
void ram_page_written(SoftPartition *p, uint64_t pa, bool whole);

/* segment.c, interrupt.c */
void segment_load(SoftCpu *c, const Uop *u, unsigned seg, uint16_t selector);
void segment_set_real(SoftCpu *c, unsigned seg, uint16_t selector);
void far_jump(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t offset);
void far_call(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t offset);
void far_return(SoftCpu *c, const Uop *u, unsigned pop_bytes);
void interrupt_return(SoftCpu *c, const Uop *u);
bool interrupt_deliver(SoftCpu *c, unsigned vector, bool software, bool has_code, uint32_t code,
                       uint64_t return_rip);
void segment_load_descriptor(SoftCpu *c, const Uop *u, Segment *seg, uint16_t selector,
                             unsigned vector);
bool descriptor_read(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t *ret);
void segment_from_descriptor(Segment *seg, uint16_t selector, uint64_t descriptor);
void io_check(SoftCpu *c, const Uop *u, uint16_t port, unsigned size);

void far_load_code(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t d, unsigned cpl);
void far_check_target(SoftCpu *c, const Uop *u, uint64_t d, uint64_t offset);
uint64_t far_gate_code(SoftCpu *c, const Uop *u, uint16_t selector, bool call);
void segment_set_accessed(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t *d);

/* gate.c */
#define STACK_FRAME_MAX 35u
typedef struct StackFrame {
        const Segment *ss; /* long mode knows no base and no limit of it */
        unsigned dpl;      /* whose stack it is */
        uint64_t sp;
        uint32_t error;                   /* of a stack that is too small */
        unsigned bytes, n;                /* each of the values, how many */
        uint64_t values[STACK_FRAME_MAX]; /* in the order of pushing */
} StackFrame;
Segment gate_null_stack(unsigned dpl);
uint64_t gate_stack(SoftCpu *c, const Uop *u, unsigned dpl, unsigned ext, Segment *ret_ss);
uint64_t gate_push(SoftCpu *c, const Uop *u, const StackFrame *f);
bool gate_transfer(SoftCpu *c, const Uop *u, uint16_t selector, bool call);

/* v86.c */
void v86_set_segment(SoftCpu *c, unsigned seg, uint16_t selector);
bool v86_has_vif(const SoftCpu *c);
void v86_sti(SoftCpu *c, const Uop *u);
bool v86_vif_is_if(SoftCpu *c, const Uop *u);
uint32_t v86_flags(const SoftCpu *c);
void v86_set_flags(SoftCpu *c, const Uop *u, uint32_t flags);
uint32_t v86_task_flags(const SoftCpu *c);
void v86_check_pending(SoftCpu *c);
bool v86_interrupt(SoftCpu *c, const Uop *u, unsigned vector);
void v86_enter(SoftCpu *c, const uint16_t selectors[N_SEGS]);
void v86_return_to(SoftCpu *c, const Uop *u, uint32_t eip, uint16_t cs, uint32_t eflags);
void v86_leave(SoftCpu *c);

/* task.c */
typedef struct TaskSwitch {
        enum { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_EVENT } cause;
        uint16_t selector; /* of the TSS */
        uint64_t next_rip; /* where the old task goes on */
        unsigned ext;      /* of error codes: 1 for an event from outside the program */
        bool has_code;     /* the new task finds @code on its stack */
        uint32_t code;
} TaskSwitch;
void task_switch(SoftCpu *c, const Uop *u, const TaskSwitch *t);

/* cpuid.c, msr.c */
int soft_model_init(SoftModel *model, unsigned n_vcpus, const CpuFeatureChange *change,
                    TextError *reterr);
/* What CPUID shows of the processor as it is now. */
typedef struct CpuidNow {
        unsigned index; /* of the processor, its APIC id */
        uint64_t apic_base, cr4, xcr0;
} CpuidNow;
void soft_cpuid(const SoftModel *model, const CpuidNow *now, uint32_t function, uint32_t sub,
                CpuidEntry *ret);
uint32_t soft_model_leaf1_ecx(const SoftModel *model);
uint64_t soft_cr4_known(const SoftModel *model);
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_KVM_SYSTEM_TIME 0x4b564d01u
bool msr_read(SoftCpu *c, uint32_t msr, uint64_t *ret);
bool msr_write(SoftCpu *c, uint32_t msr, uint64_t value);

/* lapic.c, lapic_message.c, lapic_registers.c */
int lapic_new(SoftCpu *cpu, Lapic **ret);
void lapic_free(Lapic *l);
void lapic_reset(Lapic *l, bool boot_processor, bool init);
uint64_t lapic_base(const Lapic *l);
bool lapic_claims(const Lapic *l, uint64_t pa);
bool lapic_set_base(Lapic *l, uint64_t value);
uint32_t lapic_mmio_read(Lapic *l, uint32_t offset);
void lapic_mmio_write(Lapic *l, uint32_t offset, uint32_t value);
bool lapic_msr_read(Lapic *l, uint32_t msr, uint64_t *ret);
bool lapic_msr_write(Lapic *l, uint32_t msr, uint64_t value);
uint64_t lapic_tpr(const Lapic *l);
void lapic_set_tpr(Lapic *l, uint64_t tpr);
bool lapic_pending(Lapic *l);    /* an interrupt may be delivered now */
int lapic_acknowledge(Lapic *l); /* its vector, or -1 */
bool lapic_accepts_extint(const Lapic *l);
void lapic_timer_poll(Lapic *l, uint64_t now);
uint64_t lapic_timer_due(Lapic *l); /* guest nsec, UINT64_MAX = none */
uint64_t lapic_deadline(const Lapic *l);
void lapic_set_deadline(Lapic *l, uint64_t tsc);
unsigned lapic_send_to_set(SoftPartition *p, uint64_t low, uint64_t high, uint32_t min,
                           uint32_t icr);
void lapic_message(SoftPartition *p, uint64_t address, uint32_t data);
