/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/gdb/registers.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

/* FXSAVE area (SDM vol. 1, 10.5.1) */
#define FX_FCW 0u
#define FX_FSW 2u
#define FX_FTW 4u
#define FX_FOP 6u
#define FX_FIP 8u
#define FX_FCS 12u
#define FX_FDP 16u
#define FX_FDS 20u
#define FX_MXCSR 24u
#define FX_ST 32u
#define FX_XMM 160u

typedef enum Where {
        IN_GENERAL, /* .offset in VcpuRegisters */
        IN_SYSTEM,  /* .offset in VcpuSystemRegisters */
        IN_XSAVE,   /* .offset in the area, as it is */
        IN_TAGS,    /* x87 tags, which the area keeps as one bit each */
} Where;

typedef struct Place {
        uint8_t size;   /* as gdb sees it */
        uint8_t stored; /* bytes of it that exist; the others are zero */
        uint8_t where;
        uint16_t offset;
} Place;

#define GENERAL(member)                                                                            \
        { 8, 8, IN_GENERAL, offsetof(VcpuRegisters, member) }
#define SELECTOR(segment)                                                                          \
        { 4, 2, IN_SYSTEM, offsetof(VcpuSystemRegisters, segment.selector) }
#define ST(n)                                                                                      \
        { 10, 10, IN_XSAVE, FX_ST + 16 * (n) }
#define FPU(bytes, at)                                                                             \
        { 4, bytes, IN_XSAVE, at }
#define XMM(n)                                                                                     \
        { 16, 16, IN_XSAVE, FX_XMM + 16 * (n) }
#define SYSTEM(member)                                                                             \
        { 8, 8, IN_SYSTEM, offsetof(VcpuSystemRegisters, member) }

/* As gdb_target_xml describes them. */
static const Place places[] = {
        GENERAL(rax),
        GENERAL(rbx),
        GENERAL(rcx),
        GENERAL(rdx),
        GENERAL(rsi),
        GENERAL(rdi),
        GENERAL(rbp),
        GENERAL(rsp),
        GENERAL(r8),
        GENERAL(r9),
        GENERAL(r10),
        GENERAL(r11),
        GENERAL(r12),
        GENERAL(r13),
        GENERAL(r14),
        GENERAL(r15),
        GENERAL(rip),
        {4, 4, IN_GENERAL, offsetof(VcpuRegisters, rflags)},
        SELECTOR(cs),
        SELECTOR(ss),
        SELECTOR(ds),
        SELECTOR(es),
        SELECTOR(fs),
        SELECTOR(gs),
        ST(0),
        ST(1),
        ST(2),
        ST(3),
        ST(4),
        ST(5),
        ST(6),
        ST(7),
        FPU(2, FX_FCW),
        FPU(2, FX_FSW),
        {4, 2, IN_TAGS, FX_FTW},
        FPU(2, FX_FCS),
        FPU(4, FX_FIP),
        FPU(2, FX_FDS),
        FPU(4, FX_FDP),
        FPU(2, FX_FOP),
        XMM(0),
        XMM(1),
        XMM(2),
        XMM(3),
        XMM(4),
        XMM(5),
        XMM(6),
        XMM(7),
        XMM(8),
        XMM(9),
        XMM(10),
        XMM(11),
        XMM(12),
        XMM(13),
        XMM(14),
        XMM(15),
        FPU(4, FX_MXCSR),
        SYSTEM(fs.base),
        SYSTEM(gs.base),
        SYSTEM(cr0),
        SYSTEM(cr2),
        SYSTEM(cr3),
        SYSTEM(cr4),
        SYSTEM(efer),
};
_Static_assert(ELEMENTSOF(places) == GDB_REGISTERS_COUNT, "the header knows how many there are");

/** gdb_register_size() - bytes of a register; 0 if there is none of that number */
size_t gdb_register_size(unsigned number) {
        return number < GDB_REGISTERS_COUNT ? places[number].size : 0;
}

static const uint8_t *locate(const GdbRegisters *registers, const Place *place) {
        switch ((Where) place->where) {
        case IN_GENERAL:
                return (const uint8_t *) &registers->general + place->offset;
        case IN_SYSTEM:
                return (const uint8_t *) &registers->system + place->offset;
        case IN_XSAVE:
        case IN_TAGS:
                break;
        }
        return registers->xsave.area + place->offset;
}

/* One bit for each register, "not empty", becomes two: 00 in use, 11 empty. gdb looks no closer. */
static uint16_t expand_tags(uint8_t used) {
        uint16_t tags = 0;

        for (unsigned i = 0; i < 8; i++)
                if (!(used & 1u << i))
                        tags |= (uint16_t) (3u << 2 * i);
        return tags;
}

static uint8_t contract_tags(uint16_t tags) {
        uint8_t used = 0;

        for (unsigned i = 0; i < 8; i++)
                if ((tags >> 2 * i & 3u) != 3u)
                        used |= (uint8_t) (1u << i);
        return used;
}

/** gdb_register_read() - its bytes, low one first; @number exists, @ret has room for its size */
void gdb_register_read(const GdbRegisters *registers, unsigned number, uint8_t *ret) {
        const Place *place = &places[number];

        memset(ret, 0, place->size);
        memcpy(ret, locate(registers, place), place->stored);
        if (place->where == IN_TAGS) {
                uint16_t tags = expand_tags(*locate(registers, place));

                memcpy(ret, &tags, sizeof(tags));
        }
}

/**
 * gdb_register_write() - the inverse
 *
 * Return: 0; -EPERM for what would not be taken over whole: a selector without its descriptor, a control register
 * without the checks of the instruction that writes it.
 */
int gdb_register_write(GdbRegisters *registers, unsigned number, const uint8_t *value) {
        const Place *place = &places[number];
        uint8_t *to;

        if (place->where == IN_SYSTEM && number != GDB_REGISTER_FS_BASE &&
            number != GDB_REGISTER_GS_BASE)
                return -EPERM;
        to = (uint8_t *) (uintptr_t) locate(registers, place);
        if (place->where == IN_TAGS) {
                uint16_t tags;

                memcpy(&tags, value, sizeof(tags));
                *to = contract_tags(tags);
        } else {
                memcpy(to, value, place->stored);
        }
        return 0;
}
