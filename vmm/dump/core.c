/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/dump/core.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "vmm/dump/page_walk.h"

#define PAGE_BYTES 4096u
#define PIECE_BYTES (UINT64_C(1) << 20) /* between two looks at the wish to cancel */
#define NOTE_ALIGN 4u

/*
 * What QEMU says of a processor in a note of its own; crash finds the kernel's load address by the page table and the
 * interrupt table in it. Layout of QEMU's dump-guest-memory, version 1.
 */
typedef struct QemuSegment {
        uint32_t selector, limit, flags, pad;
        uint64_t base;
} QemuSegment;

typedef struct QemuCpu {
        uint32_t version, size;
        uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
        uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
        uint64_t rip, rflags;
        QemuSegment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
        uint64_t cr[5];
        uint64_t kernel_gs_base;
} QemuCpu;

#define QEMU_NOTE_NAME "QEMU"
#define QEMU_NOTE_TYPE 0u
#define CORE_NOTE_NAME "CORE"

/* Both names have four letters, so that a note's parts have the same place in each. */
typedef struct NoteHead {
        Elf64_Nhdr header;
        char name[8]; /* padded to NOTE_ALIGN */
} NoteHead;

/* Packed, because a note begins where the one before it ends. */
typedef struct __attribute__((packed)) CpuNotes {
        NoteHead core_head;
        struct elf_prstatus core;
        NoteHead qemu_head;
        QemuCpu qemu;
} CpuNotes;
_Static_assert(sizeof(struct elf_prstatus) % NOTE_ALIGN == 0 && sizeof(QemuCpu) % NOTE_ALIGN == 0,
               "notes follow each other without padding");

static NoteHead note_head(const char *name, size_t size, uint32_t type) {
        NoteHead head = {.header = {.n_namesz = (uint32_t) strlen(name) + 1,
                                    .n_descsz = (uint32_t) size,
                                    .n_type = type}};

        memcpy(head.name, name, strlen(name));
        return head;
}

/* elf_gregset_t is what ptrace's user_regs_struct is. */
static void fill_prstatus(const DumpCpu *cpu, unsigned index, struct elf_prstatus *ret) {
        const VcpuRegisters *g = &cpu->general;
        const VcpuSystemRegisters *s = &cpu->system;
        const unsigned long long registers[] = {
                g->r15,
                g->r14,
                g->r13,
                g->r12,
                g->rbp,
                g->rbx,
                g->r11,
                g->r10,
                g->r9,
                g->r8,
                g->rax,
                g->rcx,
                g->rdx,
                g->rsi,
                g->rdi,
                /* orig_rax */ g->rax,
                g->rip,
                s->cs.selector,
                g->rflags,
                g->rsp,
                s->ss.selector,
                s->fs.base,
                s->gs.base,
                s->ds.selector,
                s->es.selector,
                s->fs.selector,
                s->gs.selector,
        };

        _Static_assert(sizeof(registers) == sizeof(elf_gregset_t), "all registers and no more");
        memset(ret, 0, sizeof(*ret));
        ret->pr_pid = (int) index + 1;
        memcpy(ret->pr_reg, registers, sizeof(registers));
}

static QemuSegment qemu_segment(const VcpuSegment *segment) {
        return (QemuSegment){.selector = segment->selector,
                             .limit = segment->limit,
                             .flags = (uint32_t) segment->attributes << 8,
                             .base = segment->base};
}

static QemuSegment qemu_table(const VcpuTableRegister *table) {
        return (QemuSegment){.limit = table->limit, .base = table->base};
}

static void fill_qemu(const DumpCpu *cpu, QemuCpu *ret) {
        const VcpuRegisters *g = &cpu->general;
        const VcpuSystemRegisters *s = &cpu->system;

        *ret = (QemuCpu){
                .version = 1,
                .size = sizeof(*ret),
                .rax = g->rax,
                .rbx = g->rbx,
                .rcx = g->rcx,
                .rdx = g->rdx,
                .rsi = g->rsi,
                .rdi = g->rdi,
                .rsp = g->rsp,
                .rbp = g->rbp,
                .r8 = g->r8,
                .r9 = g->r9,
                .r10 = g->r10,
                .r11 = g->r11,
                .r12 = g->r12,
                .r13 = g->r13,
                .r14 = g->r14,
                .r15 = g->r15,
                .rip = g->rip,
                .rflags = g->rflags,
                .cs = qemu_segment(&s->cs),
                .ds = qemu_segment(&s->ds),
                .es = qemu_segment(&s->es),
                .fs = qemu_segment(&s->fs),
                .gs = qemu_segment(&s->gs),
                .ss = qemu_segment(&s->ss),
                .ldt = qemu_segment(&s->ldtr),
                .tr = qemu_segment(&s->tr),
                .gdt = qemu_table(&s->gdtr),
                .idt = qemu_table(&s->idtr),
                .cr = {s->cr0, 0, s->cr2, s->cr3, s->cr4},
                .kernel_gs_base = cpu->kernel_gs_base,
        };
}

static void fill_notes(const DumpCpu *cpu, unsigned index, CpuNotes *ret) {
        struct elf_prstatus core;
        QemuCpu qemu;

        fill_prstatus(cpu, index, &core);
        fill_qemu(cpu, &qemu);
        *ret = (CpuNotes){
                .core_head = note_head(CORE_NOTE_NAME, sizeof(core), NT_PRSTATUS),
                .core = core,
                .qemu_head = note_head(QEMU_NOTE_NAME, sizeof(qemu), QEMU_NOTE_TYPE),
                .qemu = qemu,
        };
}

/* ---- program headers ---- */

typedef struct Layout {
        size_t n_headers;
        uint64_t notes_at, notes_bytes;
        uint64_t memory_at; /* of the memfd's first byte */
} Layout;

static uint64_t file_offset(const GuestMem *mem, const Layout *layout, gpa_t gpa) {
        for (unsigned i = 0; i < mem->n_regions; i++) {
                const GuestRegion *region = &mem->regions[i];

                if (gpa >= region->gpa && gpa - region->gpa < region->size_bytes)
                        return layout->memory_at + region->file_offset + (gpa - region->gpa);
        }
        return layout->memory_at; /* not reached: ranges are RAM */
}

static Elf64_Phdr load_header(const GuestMem *mem, const Layout *layout, uint64_t gva, gpa_t gpa,
                              uint64_t len) {
        return (Elf64_Phdr){.p_type = PT_LOAD,
                            .p_flags = PF_R | PF_W | PF_X,
                            .p_offset = file_offset(mem, layout, gpa),
                            .p_vaddr = gva,
                            .p_paddr = gpa,
                            .p_filesz = len,
                            .p_memsz = len,
                            .p_align = 0}; /* crash takes aligned segments for a dump by network */
}

/* Physical ranges come first: tools that look by physical address stop at the first one that fits. */
static int write_headers(int fd, const GuestMem *mem, const PageWalk *walk, const Layout *layout) {
        const Elf64_Ehdr head = {
                .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                            EV_CURRENT},
                .e_type = ET_CORE,
                .e_machine = EM_X86_64,
                .e_version = EV_CURRENT,
                .e_phoff = sizeof(Elf64_Ehdr),
                .e_ehsize = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = (uint16_t) layout->n_headers,
        };
        _cleanup_(freep) Elf64_Phdr *headers = calloc(layout->n_headers, sizeof(*headers));
        size_t n = 0;
        int r;

        if (!headers)
                return -ENOMEM;
        headers[n++] = (Elf64_Phdr){.p_type = PT_NOTE,
                                    .p_offset = layout->notes_at,
                                    .p_filesz = layout->notes_bytes,
                                    .p_align = NOTE_ALIGN};
        for (unsigned i = 0; i < mem->n_regions; i++)
                headers[n++] = load_header(mem, layout, 0, mem->regions[i].gpa,
                                           mem->regions[i].size_bytes);
        for (size_t i = 0; i < walk->n; i++)
                headers[n++] = load_header(mem, layout, walk->ranges[i].gva, walk->ranges[i].gpa,
                                           walk->ranges[i].len);
        r = fd_pwrite_all(fd, &head, sizeof(head), 0);
        return r < 0 ? r : fd_pwrite_all(fd, headers, n * sizeof(*headers), sizeof(head));
}

static int write_notes(int fd, const DumpCpu *cpus, unsigned n_cpus, const Layout *layout) {
        for (unsigned i = 0; i < n_cpus; i++) {
                CpuNotes notes;
                int r;

                fill_notes(&cpus[i], i, &notes);
                r = fd_pwrite_all(fd, &notes, sizeof(notes), layout->notes_at + i * sizeof(notes));
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- memory ---- */

/* [@from, @to) of the memfd, which has data there. */
static int copy_extent(int fd, const GuestMem *mem, uint64_t from, uint64_t to, uint64_t memory_at,
                       const _Atomic bool *cancel) {
        while (from < to) {
                const uint64_t len = MIN(to - from, PIECE_BYTES);
                int r;

                if (atomic_load(cancel))
                        return -ECANCELED;
                r = fd_pwrite_all(fd, mem->base + from, len, memory_at + from);
                if (r < 0)
                        return r;
                from += len;
        }
        return 0;
}

/* What the guest never touched stays a hole in the core as well. */
static int copy_memory(int fd, const GuestMem *mem, uint64_t memory_at,
                       const _Atomic bool *cancel) {
        uint64_t from = 0, to = 0;
        int r;

        while ((r = guest_mem_next_data(mem, to, &from, &to)) > 0) {
                r = copy_extent(fd, mem, from, to, memory_at, cancel);
                if (r < 0)
                        return r;
        }
        return r;
}

/**
 * dump_write_core() - write the machine to @fd
 * @fd:     a regular file, empty; written from its beginning
 * @cancel: becomes true when nobody wants it any more
 *
 * No vCPU runs. Takes seconds, on any thread. Return: 0; -ECANCELED; other negative errno.
 */
int dump_write_core(int fd, const GuestMem *mem, const DumpCpu *cpus, unsigned n_cpus,
                    const _Atomic bool *cancel) {
        _cleanup_(page_walk_deinit) PageWalk walk = {0};
        Layout layout = {.notes_bytes = n_cpus * sizeof(CpuNotes)};
        int r;

        r = page_walk(mem, &cpus[0].system, &walk);
        if (r < 0)
                return r;
        layout.n_headers = 1 + mem->n_regions + walk.n;
        layout.notes_at = sizeof(Elf64_Ehdr) + layout.n_headers * sizeof(Elf64_Phdr);
        layout.memory_at = (layout.notes_at + layout.notes_bytes + PAGE_BYTES - 1) &
                           ~(uint64_t) (PAGE_BYTES - 1);
        if (ftruncate(fd, (off_t) (layout.memory_at + mem->size_bytes)) < 0)
                return -errno;
        r = write_headers(fd, mem, &walk, &layout);
        if (r == 0)
                r = write_notes(fd, cpus, n_cpus, &layout);
        return r < 0 ? r : copy_memory(fd, mem, layout.memory_at, cancel);
}
