/* SPDX-License-Identifier: Apache-2.0 */
/* The slow paths of access.h: accesses that miss, cross pages, meet devices, breakpoints or decoded code, or fault. */
#include "vmm/hv/soft/access.h"

#include <string.h>

#include "base/cleanup.h"
#include "vmm/hv/soft/soft_internal.h"

/* An access that ends beyond the canonical addresses does not get as far as a page fault where it begins. */
static void check_crossing(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        if (cpu_long_mode(c) && unlikely(!is_canonical(va + size - 1)))
                mmu_not_canonical(c, u);
}

/* What the address of an operand of @size bytes must be a multiple of (SDM volume 3 table 6-7). */
static unsigned alignment_of(unsigned size) {
        if (size <= 16 && (size & (size - 1)) == 0)
                return size;
        return size == 10      ? 8
               : size % 4 == 0 ? 4
                               : 2; /* x87: a register, or an image of many words */
}

/* #AC for a user's operand that is not aligned, before the page tables are looked at. */
static void check_alignment(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, unsigned role) {
        if (likely(!c->aligned) || role != MMU_USER || (va & (alignment_of(size) - 1)) == 0)
                return;
        check_crossing(c, u, va, 1);
        check_crossing(c, u, va, size);
        cpu_raise_code(c, u, EXC_AC, 0);
}

/** mem_need_aligned() - #AC where the current privilege must align an operand of @size bytes and has not */
void mem_need_aligned(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        check_alignment(c, u, va, size, c->role);
}

static uint64_t device_read(SoftCpu *c, uint64_t pa, unsigned size) {
        uint64_t value;

        if (lapic_claims(c->lapic, pa))
                return lapic_mmio_read(c->lapic, (uint32_t) (pa & 0xff0));
        value = c->io->mmio_read(c->io->machine, pa, size);
        cpu_notice_stop(c);
        return value;
}

static void device_write(SoftCpu *c, uint64_t pa, unsigned size, uint64_t value) {
        if (lapic_claims(c->lapic, pa)) {
                lapic_mmio_write(c->lapic, (uint32_t) (pa & 0xff0), (uint32_t) value);
                return;
        }
        c->io->mmio_write(c->io->machine, pa, size, value);
        cpu_notice_stop(c);
}

static uint64_t read_at(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, unsigned role) {
        uint64_t pa, value = 0;
        uint8_t *host;

        check_alignment(c, u, va, size, role);
        if ((va & 0xfff) + size > 0x1000) {
                unsigned first = 0x1000 - (unsigned) (va & 0xfff);
                uint8_t bytes[8] = {0};

                check_crossing(c, u, va, size);
                for (unsigned i = 0; i < size;) {
                        unsigned n = i == 0 ? first : size - first;

                        host = tlb_miss(c, u, va + i, ACCESS_READ, role, &pa);
                        if (host)
                                memcpy(bytes + i, host, n);
                        else
                                for (unsigned k = 0; k < n; k++)
                                        bytes[i + k] = (uint8_t) device_read(c, pa + k, 1);
                        i += n;
                }
                memcpy(&value, bytes, 8);
                return value;
        }
        host = tlb_miss(c, u, va, ACCESS_READ, role, &pa);
        if (!host)
                return device_read(c, pa, size);
        switch (size) {
        case 1:
                return *host;
        case 2:
                return *(volatile u16u *) host;
        case 4:
                return *(volatile u32u *) host;
        default:
                return *(volatile u64u *) host;
        }
}

/** mem_read_slow() - read @size bytes (1..8) with the rights of the current privilege, at any alignment; faults */
uint64_t mem_read_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        uint64_t value = read_at(c, u, va, size, c->role);

        if (unlikely(c->debug_watches))
                debug_check_data(c, va, size, false);
        return value;
}

/** mem_read_system() - the same as the processor itself reads descriptors and stacks: as supervisor */
uint64_t mem_read_system(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        return read_at(c, u, va, size, MMU_SUPERVISOR);
}

static void uop_stop(SoftCpu *c, const Uop *u) {
        c->rip = uop_rip(c, u) & ip_mask(c);
}

/* Code in the page that was just written is decoded again; the block at hand ends after this instruction. */
static void code_written(SoftCpu *c, const Uop *u, uint64_t pa) {
        ram_page_written(c->partition, pa, false);
        /* Blocks belong to this processor alone, so the one that is running may be cut short. */
        if (u && !(u->op & 0x80))
                ((Uop *) (uintptr_t) u)[1].fn = uop_stop;
}

static void write_part(SoftCpu *c, const Uop *u, uint64_t pa, uint8_t *host, const void *data,
                       unsigned n) {
        if (host) {
                switch (n) {
                case 1:
                        *(volatile uint8_t *) host = *(const uint8_t *) data;
                        break;
                case 2:
                        *(volatile u16u *) host = *(const u16u *) data;
                        break;
                case 4:
                        *(volatile u32u *) host = *(const u32u *) data;
                        break;
                case 8:
                        *(volatile u64u *) host = *(const u64u *) data;
                        break;
                default:
                        memcpy(host, data, n);
                        break;
                }
                if (ram_page_has_code(c->partition, pa))
                        code_written(c, u, pa);
        } else if (n == 1 || n == 2 || n == 4 || n == 8) {
                uint64_t value = 0;

                memcpy(&value, data, n);
                device_write(c, pa, n, value);
                /* An interrupt that this caused comes at once: from now on the block ends here. */
                if (u && !(u->op & 0x80) &&
                    atomic_load_explicit(&c->attention, memory_order_relaxed))
                        ((Uop *) (uintptr_t) u)[1].fn = uop_stop;
        } else {
                for (unsigned i = 0; i < n; i++)
                        device_write(c, pa + i, 1, ((const uint8_t *) data)[i]);
        }
}

static void write_at(SoftCpu *c, const Uop *u, uint64_t va, const void *data, unsigned size,
                     unsigned role) {
        const unsigned first = 0x1000 - (unsigned) (va & 0xfff); /* bytes to the page's end */
        uint64_t pa, pa2 = 0;
        uint8_t *host, *host2;

        check_alignment(c, u, va, size, role);
        if ((va & 0xfff) + size > 0x1000)
                check_crossing(c, u, va, size);
        host = tlb_miss(c, u, va, ACCESS_WRITE, role, &pa);
        if ((va & 0xfff) + size <= 0x1000) {
                write_part(c, u, pa, host, data, size);
                return;
        }
        /* Both pages, before either is changed. */
        host2 = tlb_miss(c, u, va + first, ACCESS_WRITE, role, &pa2);
        write_part(c, u, pa, host, data, first);
        write_part(c, u, pa2, host2, (const uint8_t *) data + first, size - first);
}

/** mem_write_slow() - write @size bytes (1..8) with the rights of the current privilege; all of them or a fault */
void mem_write_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, uint64_t value) {
        write_at(c, u, va, &value, size, c->role);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, size, true);
}

/** mem_write_system() - the same as supervisor */
void mem_write_system(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, uint64_t value) {
        write_at(c, u, va, &value, size, MMU_SUPERVISOR);
}

/** mem_write_as() - the same with the rights of @role (MMU_*), which is not the current one */
void mem_write_as(SoftCpu *c, const Uop *u, unsigned role, uint64_t va, unsigned size,
                  uint64_t value) {
        write_at(c, u, va, &value, size, role);
}

/** mem_read_bytes() - up to a page, all or a fault */
void mem_read_bytes(SoftCpu *c, const Uop *u, uint64_t va, void *data, unsigned len) {
        const uint8_t *p = tlb_hit(c->tlb->read, va, len);
        uint8_t *out = data;

        if (p) {
                memcpy(data, p, len);
                return;
        }
        check_crossing(c, u, va, len);
        check_alignment(c, u, va, len, c->role);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, len, false);
        for (unsigned i = 0; i < len;) {
                unsigned n = MIN(len - i, 0x1000 - (unsigned) ((va + i) & 0xfff));
                uint64_t pa;
                uint8_t *host = tlb_miss(c, u, va + i, ACCESS_READ, c->role, &pa);

                if (host)
                        memcpy(out + i, host, n);
                else
                        for (unsigned k = 0; k < n; k++)
                                out[i + k] = (uint8_t) device_read(c, pa + k, 1);
                i += n;
        }
}

/** mem_write_bytes() - up to a page, all or a fault */
void mem_write_bytes(SoftCpu *c, const Uop *u, uint64_t va, const void *data, unsigned len) {
        uint8_t *p = tlb_hit(c->tlb->write, va, len);

        if (p) {
                memcpy(p, data, len);
                return;
        }
        write_at(c, u, va, data, len, c->role);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, len, true);
}

/* In place: the pages may hold code. */
static void begin_in_place(SoftCpu *c, uint64_t pa, uint64_t pa2) {
        c->post_bounce = false;
        c->post_pa[0] = pa;
        c->post_pa[1] = pa2;
        c->post_write = 1;
}

/* An operand in two pages, both of which are known to be writable then. Return: its place, NULL when it must be copied. */
static uint8_t *begin_split(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, bool locked) {
        uint64_t pa, pa2;
        uint8_t *first, *second, *place;

        check_crossing(c, u, va, size);
        first = tlb_miss(c, u, va, ACCESS_WRITE, c->role, &pa);
        second = tlb_miss(c, u, (va | 0xfff) + 1, ACCESS_WRITE, c->role, &pa2);
        if (!locked || !first || !second)
                return NULL;
        place = split_begin(c, first, second);
        if (place)
                begin_in_place(c, pa, pa2);
        return place;
}

/**
 * mem_begin_slow() - the slow half of mem_begin(): where an operand of @size bytes may be changed
 * @locked: all processors see it change at once
 *
 * Return: its place in the host's memory, with work left for mem_end_slow() where that holds decoded code; for a device,
 * or an operand in two pages, a copy, which mem_end_slow() writes back.
 */
uint8_t *mem_begin_slow(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, bool locked) {
        uint64_t pa;
        uint8_t *host;

        check_alignment(c, u, va, size, c->role);
        if (unlikely(c->debug_watches))
                debug_check_data(c, va, size, true);
        c->post_va = va;
        c->post_size = (uint8_t) size;
        if ((va & 0xfff) + size <= 0x1000) {
                host = tlb_miss(c, u, va, ACCESS_WRITE, c->role, &pa);
                if (host) {
                        if (ram_page_has_code(c->partition, pa))
                                begin_in_place(c, pa, pa);
                        return host;
                }
        } else {
                host = begin_split(c, u, va, size, locked);
                if (host)
                        return host;
        }
        mem_read_bytes(c, u, va, c->bounce, size);
        c->post_bounce = true;
        c->post_write = 1;
        return c->bounce;
}

/** mem_end_slow() - the operand of mem_begin_slow() was changed */
void mem_end_slow(SoftCpu *c, const Uop *u) {
        c->post_write = 0;
        if (c->post_bounce) {
                write_at(c, u, c->post_va, c->bounce, c->post_size, c->role);
                return;
        }
        split_end(c);
        for (unsigned i = 0; i < 2; i++)
                if (ram_page_has_code(c->partition, c->post_pa[i]))
                        code_written(c, u, c->post_pa[i]);
}

/* ---- effective addresses outside flat 64-bit code ---- */

/* Whether the segment allows what the instruction does with its operand; selectors give rights where they name descriptors. */
static bool segment_allows(const SoftCpu *c, const Uop *u, const Segment *s, uint64_t offset) {
        static const uint16_t lengths[16] = {1, 2, 4, 8, 16, 6, 10, 14, 28, 94, 108, 512, 576};
        const unsigned type = s->attr & SEG_ATTR_TYPE;
        const uint64_t last = offset + lengths[EA_BYTES_CODE(u->ea)] - 1;

        if (cpu_descriptors(c) &&
            (!(s->attr & SEG_ATTR_P) || (u->ea & EA_WRITE ? (type & 0xa) != 2 : (type & 0xa) == 8)))
                return false;
        if ((type & 0xc) == 4) /* expand-down: what lies above the limit */
                return offset > s->limit && last <= (s->attr & SEG_ATTR_DB ? UINT32_MAX : 0xffff);
        return last <= s->limit || s->limit == UINT32_MAX;
}

/** ea_slow() - the linear address of @u's operand with segment base, limit, rights and address size; faults */
uint64_t ea_slow(SoftCpu *c, const Uop *u) {
        const uint64_t offset = ea_offset(c, u);
        const Segment *s = &c->seg[u->seg];

        if (cpu_code64(c))
                return c->seg_base_effective[u->seg] + offset;
        if (unlikely(!segment_allows(c, u, s, offset)))
                cpu_raise_code(c, u, u->seg == SEG_SS ? EXC_SS : EXC_GP, 0);
        return (s->base + offset) & UINT32_MAX;
}
