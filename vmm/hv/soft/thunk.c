/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floating point and vector instructions run on the host's own units: for each form a few bytes of code are made that
 * load the operands, execute the guest's instruction with its operands replaced, and store the result.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/code_area.h"
#include "vmm/hv/soft/handlers.h"

#define THUNK_BYTES_MAX 12u
#define CODE_SIZE (512u * 1024u)
#define TABLE_SIZE 8192u
#define FORMS_MAX (TABLE_SIZE / 2)
#define THUNK_SIZE_MAX 64u

typedef struct Entry {
        uint8_t bytes[THUNK_BYTES_MAX];
        uint8_t len, kind;
        Thunk thunk;
} Entry;

struct ThunkCache {
        CodeArea area;
        size_t used;
        unsigned n;
        bool reused;       /* code has been replaced */
        uint32_t features; /* that are to be had, ECX of CPUID leaf 1 */
        Entry table[TABLE_SIZE];
};

/* What needs nothing of the host. */
#define IN_SOFTWARE (HOST_CX16 | HOST_MOVBE | HOST_RDRAND)

static uint32_t host_features(void) {
        uint32_t eax = 1, ebx, ecx = 0, edx;

        __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
        return ecx;
}

/** thunk_cache_new() - room for the code of one processor. Return: 0 or negative errno. */
int thunk_cache_new(ThunkCache **ret) {
        ThunkCache *cache = calloc(1, sizeof(*cache));
        int r;

        if (!cache)
                return -ENOMEM;
        r = code_area_init(&cache->area, "vivarium-thunks", CODE_SIZE);
        if (r < 0) {
                free(cache);
                return r;
        }
        cache->features = host_features() | IN_SOFTWARE;
        *ret = cache;
        return 0;
}

/** thunk_cache_free() - release; NULL is fine; no thunk may be called any more */
void thunk_cache_free(ThunkCache *cache) {
        if (!cache)
                return;
        code_area_deinit(&cache->area);
        free(cache);
}

/** thunk_cache_limit() - as if the host had no more than @features, bits of ECX of CPUID leaf 1 */
void thunk_cache_limit(ThunkCache *cache, uint32_t features) {
        cache->features &= features;
}

/** thunk_host_has() - whether what @feature, a bit of ECX of CPUID leaf 1, stands for is offered and can be executed */
bool thunk_host_has(const ThunkCache *cache, uint32_t feature) {
        return cache->features & feature;
}

/** thunk_cache_has_room() - whether @n more forms certainly fit */
bool thunk_cache_has_room(const ThunkCache *cache, unsigned n) {
        return cache->n + n <= FORMS_MAX && cache->used + n * THUNK_SIZE_MAX <= CODE_SIZE;
}

/** thunk_cache_flush() - forget all code; no thunk that was made may be called any more */
void thunk_cache_flush(ThunkCache *cache) {
        memset(cache->table, 0, sizeof(cache->table));
        cache->used = 0;
        cache->n = 0;
        cache->reused = true;
}

typedef struct Code {
        const char *bytes;
        unsigned len;
} Code;
#define CODE(s)                                                                                    \
        { s, sizeof(s) - 1 }

/* Before and after the instruction, by kind. */
static const Code before[THUNK_KINDS] = {
        [THUNK_XMM] = CODE("\x0f\x10\x07"), /* movups (%rdi),%xmm0 */
        [THUNK_XMM_FLAGS] = CODE("\x0f\x10\x07"),
        [THUNK_XMM_SOURCE] = CODE("\x0f\x10\x06"),             /* movups (%rsi),%xmm0 */
        [THUNK_XMM_BLENDV] = CODE("\x0f\x10\x0f\x0f\x10\x02"), /* xmm1 from rdi, xmm0 from rdx */
        [THUNK_XMM_STRING] =
                CODE("\x49\x89\xd0\x49\x8b\x00\x49\x8b\x50\x08\x0f\x10\x0f\x41\x0f\x10\x40\x20"),
        [THUNK_PLAIN] = CODE(""),
        [THUNK_FLAGS] = CODE(""),
        [THUNK_WITH_FLAGS] =
                CODE("\x8b\x02\x04\x7f\x9e"),    /* mov (%rdx),%eax; add $0x7f,%al; sahf */
        [THUNK_WITH_RAX] = CODE("\x48\x8b\x02"), /* mov (%rdx),%rax */
};
static const Code after[THUNK_KINDS] = {
        [THUNK_XMM] = CODE("\x0f\x11\x07\xc3"),
        [THUNK_XMM_FLAGS] =
                CODE("\x9f\x0f\x90\xc0\x0f\xb7\xc0\xc3"), /* lahf; seto %al; movzwl; ret */
        [THUNK_XMM_SOURCE] = CODE("\xc3"),
        [THUNK_XMM_BLENDV] = CODE("\x0f\x11\x0f\xc3"),
        [THUNK_XMM_STRING] =
                CODE("\x49\x89\x48\x10\x41\x0f\x11\x40\x20\x9f\x0f\x90\xc0\x0f\xb7\xc0\xc3"),
        [THUNK_PLAIN] = CODE("\xc3"),
        [THUNK_FLAGS] = CODE("\x9f\x0f\x90\xc0\x0f\xb7\xc0\xc3"),
        [THUNK_WITH_FLAGS] = CODE("\xc3"),
        [THUNK_WITH_RAX] = CODE("\xc3"),
};

/**
 * thunk_get() - code for an instruction, made when it is first asked for
 * @bytes: its encoding with the operands that @kind says; at most THUNK_BYTES_MAX
 *
 * Return: the code, or NULL when there is no room for more forms.
 */
Thunk thunk_get(ThunkCache *cache, ThunkKind kind, const uint8_t *bytes, unsigned len) {
        uint32_t hash = kind * 0x9e3779b1u;
        size_t start = cache->used;
        unsigned at;
        Entry *e;

        for (unsigned i = 0; i < len; i++)
                hash = (hash ^ bytes[i]) * 0x01000193u;
        for (at = (hash >> 7) % TABLE_SIZE;; at = (at + 1) % TABLE_SIZE) {
                e = &cache->table[at];
                if (!e->thunk)
                        break;
                if (e->kind == kind && e->len == len && memcmp(e->bytes, bytes, len) == 0)
                        return e->thunk;
        }
        if (len > THUNK_BYTES_MAX || !thunk_cache_has_room(cache, 1))
                return NULL;

        memcpy(cache->area.write + cache->used, before[kind].bytes, before[kind].len);
        cache->used += before[kind].len;
        memcpy(cache->area.write + cache->used, bytes, len);
        cache->used += len;
        memcpy(cache->area.write + cache->used, after[kind].bytes, after[kind].len);
        cache->used += after[kind].len;
        cache->used = (cache->used + 15) & ~(size_t) 15;

        if (cache->reused)
                code_area_serialize();
        e->len = (uint8_t) len;
        e->kind = (uint8_t) kind;
        memcpy(e->bytes, bytes, len);
        e->thunk = (Thunk) (uintptr_t) (cache->area.exec + start);
        cache->n++;
        return e->thunk;
}

/** thunk_instruction() - the instruction in the middle of @thunk, as thunk_get() was given it */
const uint8_t *thunk_instruction(Thunk thunk, ThunkKind kind) {
        return (const uint8_t *) (uintptr_t) thunk + before[kind].len;
}
