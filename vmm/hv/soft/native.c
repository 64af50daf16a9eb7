/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hot blocks as host code, beside the interpreter. A run of instructions that the translator knows becomes one piece of
 * code that takes the place of the first one's handler; where it ends, the interpreter goes on with the next. Translated
 * code does nothing that can fail: whatever is not in the TLB, not aligned or not canonical is left to the interpreter,
 * which is given the instruction from its beginning, with all registers and flags as they are before it. So faults,
 * devices and code that is written to are handled in one place only, and exactly.
 *
 * From one translated block to the next it goes by links, which are set when the run loop finds the other block, and by
 * the jump cache. Each block looks at the budget and for attention before it begins.
 */
#include "vmm/hv/soft/native.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/block_cache.h"
#include "vmm/hv/soft/code_area.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/native_internal.h"

#define CODE_SIZE (32u * 1024u * 1024u)
#define BLOCK_CODE_MAX (32u * 1024u) /* more than any block needs */
#define LINKS_SIZE (8u * 1024u * 1024u)
#define NOWHERE (UINT64_C(1) << 62) /* no code can be at, nor a branch away from */
#define BLOCK_LINKS_SIZE (8u * sizeof(NativeFarLink)) /* likewise */
#define FORMS_SIZE 2048u                              /* a hash table, at most half full */

struct NativeCache {
        CodeArea area;
        size_t used, used_at_start; /* behind the common code */
        bool reused;                /* code has been replaced */
        bool locks_stay; /* locked operations are left to their handlers, which count bus locks */
        const uint8_t *uops; /* where the blocks lie that are translated; borrowed */
        const uint8_t *common[COMMON_CODES];
        uint8_t *links;
        size_t links_used;
        unsigned n_forms;
        NativeForm forms[FORMS_SIZE];
};

/* ---- forms ---- */

static NativeForm *find_form(struct NativeCache *cache, UopFn handler) {
        unsigned at = (unsigned) ((uintptr_t) handler >> 4) * 0x9e3779b1u >> 16;

        for (;; at++) {
                NativeForm *form = &cache->forms[at % FORMS_SIZE];

                if (!form->handler || form->handler == handler)
                        return form;
        }
}

/** native_add_form() - how to translate @handler; the first to say so counts */
void native_add_form(struct NativeCache *cache, UopFn handler, NativeFn *translate, uint32_t op,
                     unsigned size) {
        NativeForm *form = find_form(cache, handler);

        if (form->handler || cache->n_forms >= FORMS_SIZE / 2)
                return;
        *form = (NativeForm){.handler = handler, .translate = translate, .op = op, .size = size};
        cache->n_forms++;
}

/** native_add_sizes() - the same for a table by operand size, from size @first on */
void native_add_sizes(struct NativeCache *cache, const UopFn handlers[4], unsigned first,
                      NativeFn *translate, uint32_t op) {
        if (cache->locks_stay && (op & OP_LOCK))
                return;
        for (unsigned size = first; size < 4; size++)
                native_add_form(cache, handlers[size], translate, op, size);
}

/* ---- common code ---- */

static const uint8_t saved[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};

static void emit_prologue(Emitter *e) {
        for (unsigned i = 0; i < sizeof(saved); i++) {
                if (saved[i] & 8)
                        emit_byte(e, 0x41);
                emit_byte(e, (uint8_t) (0x50 | (saved[i] & 7)));
        }
        emit_op(e, 0x8b | OP_W, H_R15, CPU_FIELD(r[REG_BLOCK]));
}

static void emit_epilogue(Emitter *e) {
        for (unsigned i = sizeof(saved); i-- > 0;) {
                if (saved[i] & 8)
                        emit_byte(e, 0x41);
                emit_byte(e, (uint8_t) (0x58 | (saved[i] & 7)));
        }
}

/* rsi: the Uop, rax: its handler */
static void emit_interpret(Emitter *e) {
        emit_op(e, 0x89 | OP_W, H_R15, CPU_FIELD(r[REG_BLOCK]));
        emit_epilogue(e);
        emit_op(e, 0xff, 4, operand_reg(H_RAX)); /* jmp */
}

static void emit_leave(Emitter *e) {
        emit_op(e, 0x89 | OP_W, H_R15, CPU_FIELD(rip));
        emit_epilogue(e);
        emit_byte(e, 0xc3);
}

static void emit_common(struct NativeCache *cache) {
        Emitter e = {.at = cache->area.write, .end = cache->area.write + BLOCK_CODE_MAX};

        cache->common[COMMON_INTERPRET] = e.at;
        emit_mov_imm(&e, H_RCX, (uintptr_t) cache->uops);
        emit_op(&e, 0x03 | OP_W, H_RSI, operand_reg(H_RCX));
        emit_op(&e, 0x8b | OP_W, H_RAX, operand_mem(H_RSI, 0));
        emit_interpret(&e);
        cache->common[COMMON_INTERPRET_BY] = e.at;
        emit_mov_imm(&e, H_RCX, (uintptr_t) cache->uops);
        emit_op(&e, 0x03 | OP_W, H_RSI, operand_reg(H_RCX));
        emit_interpret(&e);
        cache->common[COMMON_LEAVE_LINK] = e.at;
        emit_op(&e, 0x89 | OP_W, H_RAX, CPU_FIELD(exit_link));
        cache->common[COMMON_LEAVE] = e.at;
        emit_leave(&e);
        cache->used = cache->used_at_start = align_up((uint64_t) (e.at - cache->area.write), 16);
}

/** native_common() - code that all blocks share, where it is written */
const uint8_t *native_common(const struct NativeCache *cache, CommonCode code) {
        return cache->common[code];
}

/** native_uop_offset() - how the common code is told of @u */
uint32_t native_uop_offset(const struct NativeCache *cache, const Uop *u) {
        return (uint32_t) ((const uint8_t *) u - cache->uops);
}

/** native_executable() - where code that was written at @at is executed */
const uint8_t *native_executable(const struct NativeCache *cache, const uint8_t *at) {
        return cache->area.exec + (at - cache->area.write);
}

/**
 * native_add_link() - a way out of the block that is being translated, which leads nowhere yet
 * @page: the physical page that it stays in, or TLB_INVALID for a NativeFarLink
 */
NativeLink *native_add_link(struct NativeCache *cache, uint64_t page) {
        void *at = cache->links + cache->links_used;
        const NativeLink link = {
                .code = native_executable(cache, native_common(cache, COMMON_LEAVE_LINK)),
                .page = page,
        };

        if (page == TLB_INVALID) {
                *(NativeFarLink *) at = (NativeFarLink){.link = link, .rip = NOWHERE};
                cache->links_used += sizeof(NativeFarLink);
        } else {
                *(NativeLink *) at = link;
                cache->links_used += sizeof(NativeLink);
        }
        return at;
}

/* ---- making and flushing ---- */

/**
 * native_cache_new() - room for the translations of one processor
 * @blocks:     those that it keeps are translated; borrowed, and must outlive the result
 * @locks_stay: locked operations are left to their handlers, which count bus locks
 *
 * Return: 0 or negative errno.
 */
int native_cache_new(const struct BlockCache *blocks, bool locks_stay, struct NativeCache **ret) {
        struct NativeCache *cache = calloc(1, sizeof(*cache));
        void *links;
        int r;

        if (!cache)
                return -ENOMEM;
        links = mmap(NULL, LINKS_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (links == MAP_FAILED) {
                free(cache);
                return -ENOMEM;
        }
        cache->links = links;
        cache->locks_stay = locks_stay;
        cache->uops = blocks->kept;
        r = code_area_init(&cache->area, "vivarium-native", CODE_SIZE);
        if (r < 0) {
                native_cache_free(cache);
                return r;
        }
        emit_common(cache);
        native_add_alu(cache);
        native_add_moves(cache);
        native_add_branch(cache);
        native_add_vector(cache);
        native_add_source(cache);
        *ret = cache;
        return 0;
}

/** native_cache_free() - release; NULL is fine; no translation may run any more */
void native_cache_free(struct NativeCache *cache) {
        if (!cache)
                return;
        code_area_deinit(&cache->area);
        (void) munmap(cache->links, LINKS_SIZE);
        free(cache);
}

/** native_cache_flush() - forget all translations, together with the blocks that have them, and give memory back */
void native_cache_flush(struct NativeCache *cache) {
        if (cache->used > cache->used_at_start)
                code_area_release(&cache->area, cache->used_at_start, cache->used);
        if (cache->links_used > 0)
                (void) madvise(cache->links, cache->links_used, MADV_DONTNEED);
        cache->used = cache->used_at_start;
        cache->links_used = 0;
        cache->reused = true;
}

/* ---- translating ---- */

static void begin(Translator *t, bool loop) {
        const RegisterState before = t->registers;

        memset(&t->registers, 0, sizeof(t->registers));
        memset(t->registers.host, H_NONE, sizeof(t->registers.host));
        t->loop = false;
        t->evicted = false;
        t->n_exits = 0;
        t->now = 0;
        t->flags_host = false;
        t->flags_memory = true;
        t->ended = false;
        if (!loop) {
                t->sse_checked = false;
                return;
        }
        /* All that the first translation used is loaded before the loop, and stored wherever it ends. */
        native_begin_uop(t);
        for (unsigned g = 0; g < GUEST_REGS; g++)
                if (before.host[g] != H_NONE)
                        (void) native_use(t, g);
        for (unsigned n = 0; n < 16; n++)
                if (before.xmm_loaded >> n & 1)
                        native_use_xmm(t, n);
        t->n = 0;
        if (t->sse_checked) {
                t->sse_checked = false;
                native_check_sse(t);
        }
        t->registers.dirty = before.dirty;
        t->registers.xmm_dirty = before.xmm_dirty;
        t->loop = true;
        t->head = t->e.at;
}

/* From instruction @first on. Return: the number of the first that is not translated. */
static unsigned translate_run(Translator *t, unsigned first) {
        Block *b = t->block;

        t->first = first;
        for (t->n = first; t->n < b->n_uops && !t->ended; t->n++) {
                const NativeForm *form;

                t->u = &b->uops[t->n];
                form = find_form(t->cache, t->u->fn);
                native_begin_uop(t);
                if (!form->handler || !form->translate(t, form))
                        break;
        }
        return t->n;
}

/* Where the run ends without a branch: in the interpreter, or at the next block. */
static void finish_run(Translator *t, unsigned next) {
        if (t->ended)
                return;
        if (next == t->block->n_uops) {
                native_end_block(t);
                return;
        }
        native_save_flags(t);
        native_store_registers(t, &t->registers);
        emit_mov_imm(&t->e, H_RSI, native_uop_offset(t->cache, &t->block->uops[next]));
        emit_jmp_to(&t->e, native_common(t->cache, COMMON_INTERPRET));
}
_Static_assert(offsetof(Uop, fn) == 0, "an Uop begins with its handler");

/* Whether the block ends in a branch to its own beginning. */
static bool jumps_to_itself(const Block *b) {
        const Uop *u = &b->uops[b->n_uops - 1];

        return (u->fn == op_jcc || u->fn == op_jmp_rel) && u->imm + u->ip + u->len == 0;
}

/* Where other blocks jump to. */
static void emit_chain_entry(Translator *t) {
        const uint8_t *leave = native_common(t->cache, COMMON_LEAVE);

        emit_op_imm(&t->e, 0x83, 5, CPU_FIELD(budget), 1, 1); /* sub */
        emit_jcc_to(&t->e, CC_S, leave);
        emit_op_imm(&t->e, 0x83, 7, CPU_FIELD(attention), 0, 1); /* cmp */
        emit_jcc_to(&t->e, CC_NZ, leave);
}

/* The run at the beginning of the block, with both ways in. Return: the first instruction that is not part of it. */
static unsigned first_run(Translator *t, const uint8_t **ret_chain) {
        const uint8_t *start;
        unsigned next;
        uint8_t *jump;

        emit_prologue(&t->e);
        jump = emit_jmp(&t->e);
        *ret_chain = t->e.at;
        emit_chain_entry(t);
        emit_target(&t->e, jump);
        start = t->e.at;
        begin(t, false);
        next = translate_run(t, 0);
        if (next == t->block->n_uops && jumps_to_itself(t->block) && !t->evicted) {
                t->e.at = (uint8_t *) (uintptr_t) start;
                begin(t, true);
                next = translate_run(t, 0);
        }
        finish_run(t, next);
        native_emit_exits(t);
        return next;
}

static unsigned later_run(Translator *t, unsigned first) {
        unsigned next;

        emit_prologue(&t->e);
        begin(t, false);
        next = translate_run(t, first);
        finish_run(t, next);
        native_emit_exits(t);
        return next;
}

/* A run of one instruction is not worth its entry and exit, unless it is the branch at the end. */
static bool worthwhile(const Translator *t, unsigned first, unsigned next) {
        return next > first + 1 || t->ended;
}

/**
 * native_translate() - give a block host code for what can be translated of it
 * @b: one that is kept, in 64-bit mode, unchanged, and not running
 *
 * Return: false when there is no room; then all blocks must be flushed.
 */
bool native_translate(struct NativeCache *cache, Block *b) {
        Translator t;
        UopFn handlers[BLOCK_UOPS_MAX] = {0};
        const uint8_t *chain = NULL;

        if (cache->used + BLOCK_CODE_MAX > cache->area.size ||
            cache->links_used + BLOCK_LINKS_SIZE > LINKS_SIZE)
                return false;
        t.e = (Emitter){.at = cache->area.write + cache->used,
                        .end = cache->area.write + cache->used + BLOCK_CODE_MAX};
        t.cache = cache;
        t.block = b;
        for (unsigned n = 0, next; n < b->n_uops;
             n = next + 1) { /* past the one that was declined */
                uint8_t *start = t.e.at;

                next = n == 0 ? first_run(&t, &chain) : later_run(&t, n);
                if (t.e.full)
                        return true; /* it stays as it is */
                if (n == 0 || worthwhile(&t, n, next)) {
                        if (next > n)
                                handlers[n] = (UopFn) (uintptr_t) native_executable(cache, start);
                        t.e.at += -(uintptr_t) t.e.at % 16;
                } else {
                        t.e.at = start;
                }
        }
        if (cache->reused)
                code_area_serialize();
        cache->used = (size_t) (t.e.at - cache->area.write);
        b->chain = native_executable(cache, chain);
        for (unsigned n = 0; n < b->n_uops; n++)
                if (handlers[n])
                        b->uops[n].fn = handlers[n];
        return true;
}
