/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/aml.h"

#include <assert.h>
#include <string.h>

#include "base/le.h"

#define AML_ZERO_OP 0x00u
#define AML_ONE_OP 0x01u
#define AML_NAME_OP 0x08u
#define AML_BYTE_PREFIX 0x0au
#define AML_WORD_PREFIX 0x0bu
#define AML_DWORD_PREFIX 0x0cu
#define AML_STRING_PREFIX 0x0du
#define AML_QWORD_PREFIX 0x0eu
#define AML_SCOPE_OP 0x10u
#define AML_BUFFER_OP 0x11u
#define AML_PACKAGE_OP 0x12u
#define AML_METHOD_OP 0x14u
#define AML_LOCAL0_OP 0x60u
#define AML_STORE_OP 0x70u
#define AML_AND_OP 0x7bu
#define AML_NOTIFY_OP 0x86u
#define AML_IF_OP 0xa0u
#define AML_EXT_PREFIX 0x5bu
#define AML_REGION_OP 0x80u /* this and the next two after AML_EXT_PREFIX */
#define AML_FIELD_OP 0x81u
#define AML_DEVICE_OP 0x82u

#define AML_REGION_SYSTEM_IO 0x01u
#define AML_FIELD_DWORD 0x03u /* accessed so; no lock, other bits are preserved */

#define AML_METHOD_SERIALIZED 0x08u

#define AML_RESOURCE_IRQ 0x22u      /* two bytes of mask follow; edge, active high, exclusive */
#define AML_RESOURCE_IO 0x47u       /* seven bytes follow */
#define AML_RESOURCE_END 0x79u      /* checksum follows; 0 = not used */
#define AML_RESOURCE_MEMORY32 0x86u /* fixed */
#define AML_RESOURCE_DWORD_SPACE 0x87u
#define AML_RESOURCE_WORD_SPACE 0x88u
#define AML_RESOURCE_QWORD_SPACE 0x8au

/* Address space descriptors, table 6.44: resource types, general and type specific flags. */
#define AML_SPACE_MEMORY 0u
#define AML_SPACE_IO 1u
#define AML_SPACE_BUS 2u
#define AML_SPACE_FIXED                                                                            \
        0x0cu /* minimum and maximum are fixed, positive decode, the bridge produces it */
#define AML_SPACE_MEMORY_RW 0x01u /* not cacheable, read-write */
#define AML_SPACE_IO_ENTIRE 0x03u /* ISA and non-ISA ranges */

static void aml_byte(Aml *aml, uint8_t value) {
        strbuf_append_bytes(aml->out, &value, 1);
}

static void aml_le(Aml *aml, uint64_t value, size_t size) {
        uint8_t bytes[8];

        le64_store(bytes, value);
        strbuf_append_bytes(aml->out, bytes, size);
}

/** aml_bytes() - append code that was made elsewhere */
void aml_bytes(Aml *aml, const void *data, size_t len) {
        strbuf_append_bytes(aml->out, data, len);
}

static void aml_name_segment(Aml *aml, const char *name) {
        char segment[4] = {'_', '_', '_', '_'};

        if (*name == '\\') {
                aml_byte(aml, '\\');
                name++;
        }
        assert(strlen(name) <= sizeof(segment));
        memcpy(segment, name, strlen(name));
        aml_bytes(aml, segment, sizeof(segment));
}

/* ---- objects with a length in front ---- */

static void aml_open(Aml *aml) {
        assert(aml->depth < AML_DEPTH_MAX);
        aml->starts[aml->depth++] = aml->out->len;
}

/* PkgLength (section 20.2.4) counts itself: one byte up to 63, else 4 bits in the first and 8 in each further one. */
static size_t aml_encode_length(size_t body, uint8_t bytes[static 4]) {
        size_t total = body + 1, extra = 1;

        if (total < 64) {
                bytes[0] = (uint8_t) total;
                return 1;
        }
        while (body + 1 + extra >= (size_t) 1 << (4 + 8 * extra))
                extra++;
        assert(extra <= 3);
        total = body + 1 + extra;
        bytes[0] = (uint8_t) (extra << 6 | (total & 0xf));
        for (size_t i = 0; i < extra; i++)
                bytes[1 + i] = (uint8_t) (total >> (4 + 8 * i));
        return 1 + extra;
}

/** aml_end() - close the object that was opened last and insert its length */
void aml_end(Aml *aml) {
        uint8_t length[4];
        size_t start, body, n;

        assert(aml->depth > 0);
        start = aml->starts[--aml->depth];
        body = aml->out->len - start;
        n = aml_encode_length(body, length);
        strbuf_append_bytes(aml->out, length, n); /* makes room */
        if (aml->out->failed)
                return;
        memmove(aml->out->data + start + n, aml->out->data + start, body);
        memcpy(aml->out->data + start, length, n);
}

/** aml_begin_scope() - Scope(@name) { … aml_end() } */
void aml_begin_scope(Aml *aml, const char *name) {
        aml_byte(aml, AML_SCOPE_OP);
        aml_open(aml);
        aml_name_segment(aml, name);
}

/** aml_begin_device() - Device(@name) { … aml_end() } */
void aml_begin_device(Aml *aml, const char *name) {
        aml_byte(aml, AML_EXT_PREFIX);
        aml_byte(aml, AML_DEVICE_OP);
        aml_open(aml);
        aml_name_segment(aml, name);
}

/** aml_begin_method() - Method(@name, @n_args, Serialized) { … aml_end() } */
void aml_begin_method(Aml *aml, const char *name, unsigned n_args) {
        assert(n_args <= 7);
        aml_byte(aml, AML_METHOD_OP);
        aml_open(aml);
        aml_name_segment(aml, name);
        aml_byte(aml, (uint8_t) (n_args | AML_METHOD_SERIALIZED));
}

/** aml_begin_package() - Package(@n_elements) { the elements … aml_end() } */
void aml_begin_package(Aml *aml, uint8_t n_elements) {
        aml_byte(aml, AML_PACKAGE_OP);
        aml_open(aml);
        aml_byte(aml, n_elements);
}

/** aml_begin_if() - If (the term appended next) { … aml_end() } */
void aml_begin_if(Aml *aml) {
        aml_byte(aml, AML_IF_OP);
        aml_open(aml);
}

/** aml_begin_resources() - Name(@name, ResourceTemplate() { … aml_end_resources() }) */
void aml_begin_resources(Aml *aml, const char *name) {
        aml_name_object(aml, name);
        aml_byte(aml, AML_BUFFER_OP);
        aml_open(aml);
        /* The buffer's size goes here, in a form of fixed length, once it is known. */
        aml_byte(aml, AML_WORD_PREFIX);
        aml_le(aml, 0, 2);
}

/** aml_end_resources() - close what aml_begin_resources() opened */
void aml_end_resources(Aml *aml) {
        size_t start, size;

        assert(aml->depth > 0);
        start = aml->starts[aml->depth - 1];
        aml_byte(aml, AML_RESOURCE_END);
        aml_byte(aml, 0);
        size = aml->out->len - start - 3;
        if (!aml->out->failed)
                le16_store(aml->out->data + start + 1, (uint16_t) size);
        aml_end(aml);
}

/* ---- data objects ---- */

/** aml_name_object() - Name(@name, the object appended next) */
void aml_name_object(Aml *aml, const char *name) {
        aml_byte(aml, AML_NAME_OP);
        aml_name_segment(aml, name);
}

/** aml_integer() - an integer constant in its shortest form */
void aml_integer(Aml *aml, uint64_t value) {
        if (value <= 1) {
                aml_byte(aml, value ? AML_ONE_OP : AML_ZERO_OP);
        } else if (value <= UINT8_MAX) {
                aml_byte(aml, AML_BYTE_PREFIX);
                aml_le(aml, value, 1);
        } else if (value <= UINT16_MAX) {
                aml_byte(aml, AML_WORD_PREFIX);
                aml_le(aml, value, 2);
        } else if (value <= UINT32_MAX) {
                aml_byte(aml, AML_DWORD_PREFIX);
                aml_le(aml, value, 4);
        } else {
                aml_byte(aml, AML_QWORD_PREFIX);
                aml_le(aml, value, 8);
        }
}

/** aml_name_integer() - Name(@name, @value) */
void aml_name_integer(Aml *aml, const char *name, uint64_t value) {
        aml_name_object(aml, name);
        aml_integer(aml, value);
}

/** aml_name_string() - Name(@name, "@value"); ASCII */
void aml_name_string(Aml *aml, const char *name, const char *value) {
        aml_name_object(aml, name);
        aml_byte(aml, AML_STRING_PREFIX);
        aml_bytes(aml, value, strlen(value) + 1);
}

/* ---- registers and statements ---- */

/** aml_io_region() - OperationRegion(@name, SystemIO, @base, @len) */
void aml_io_region(Aml *aml, const char *name, uint16_t base, uint16_t len) {
        aml_byte(aml, AML_EXT_PREFIX);
        aml_byte(aml, AML_REGION_OP);
        aml_name_segment(aml, name);
        aml_byte(aml, AML_REGION_SYSTEM_IO);
        aml_integer(aml, base);
        aml_integer(aml, len);
}

/** aml_begin_dword_field() - Field(@region, DWordAcc, NoLock, Preserve) { units … aml_end() } */
void aml_begin_dword_field(Aml *aml, const char *region) {
        aml_byte(aml, AML_EXT_PREFIX);
        aml_byte(aml, AML_FIELD_OP);
        aml_open(aml);
        aml_name_segment(aml, region);
        aml_byte(aml, AML_FIELD_DWORD);
}

/** aml_field_unit() - @name, @bits (fewer than 64), behind the unit before it */
void aml_field_unit(Aml *aml, const char *name, unsigned bits) {
        assert(bits < 64); /* in the one-byte form of a length */
        aml_name_segment(aml, name);
        aml_byte(aml, (uint8_t) bits);
}

/** aml_store_integer() - Store(@value, @name) */
void aml_store_integer(Aml *aml, uint64_t value, const char *name) {
        aml_byte(aml, AML_STORE_OP);
        aml_integer(aml, value);
        aml_name_segment(aml, name);
}

/** aml_store_name_to_local0() - Store(@name, Local0) */
void aml_store_name_to_local0(Aml *aml, const char *name) {
        aml_byte(aml, AML_STORE_OP);
        aml_name_segment(aml, name);
        aml_byte(aml, AML_LOCAL0_OP);
}

/** aml_local0_and() - the term And(Local0, @mask) */
void aml_local0_and(Aml *aml, uint64_t mask) {
        aml_byte(aml, AML_AND_OP);
        aml_byte(aml, AML_LOCAL0_OP);
        aml_integer(aml, mask);
        aml_byte(aml, AML_ZERO_OP); /* stored nowhere */
}

/** aml_notify() - Notify(@name, @value) */
void aml_notify(Aml *aml, const char *name, unsigned value) {
        aml_byte(aml, AML_NOTIFY_OP);
        aml_name_segment(aml, name);
        aml_integer(aml, value);
}

static unsigned aml_hex_digit(char c) {
        return c <= '9' ? (unsigned) (c - '0') : (unsigned) (c - 'A' + 10);
}

/**
 * aml_name_eisa_id() - Name(@name, EisaId("@id"))
 * @id: three capitals and four upper-case hexadecimal digits
 */
void aml_name_eisa_id(Aml *aml, const char *name, const char *id) {
        uint32_t packed = 0;

        assert(strlen(id) == 7);
        for (unsigned i = 0; i < 3; i++)
                packed = packed << 5 | ((unsigned) (id[i] - 'A' + 1) & 0x1f);
        for (unsigned i = 3; i < 7; i++)
                packed = packed << 4 | aml_hex_digit(id[i]);
        aml_name_integer(aml, name, htobe32(packed));
}

/* ---- resource descriptors ---- */

/** aml_resource_io() - IO(Decode16, @base, @base, 1, @len) */
void aml_resource_io(Aml *aml, uint16_t base, uint8_t len) {
        aml_byte(aml, AML_RESOURCE_IO);
        aml_byte(aml, 1); /* all 16 bits are decoded */
        aml_le(aml, base, 2);
        aml_le(aml, base, 2);
        aml_byte(aml, 1);
        aml_byte(aml, len);
}

/** aml_resource_irq() - IRQNoFlags() {@irq}: an ISA interrupt, edge, active high */
void aml_resource_irq(Aml *aml, unsigned irq) {
        assert(irq < 16);
        aml_byte(aml, AML_RESOURCE_IRQ);
        aml_le(aml, 1u << irq, 2);
}

/** aml_resource_memory32() - Memory32Fixed(ReadWrite, @base, @size) */
void aml_resource_memory32(Aml *aml, uint32_t base, uint32_t size) {
        aml_byte(aml, AML_RESOURCE_MEMORY32);
        aml_le(aml, 9, 2);
        aml_byte(aml, 1);
        aml_le(aml, base, 4);
        aml_le(aml, size, 4);
}

/* Granularity, minimum, maximum, translation and length, each of @width bytes. */
static void aml_resource_window(Aml *aml, uint8_t descriptor, size_t width, uint8_t type,
                                uint8_t type_flags, uint64_t first, uint64_t last) {
        aml_byte(aml, descriptor);
        aml_le(aml, 3 + 5 * width, 2);
        aml_byte(aml, type);
        aml_byte(aml, AML_SPACE_FIXED);
        aml_byte(aml, type_flags);
        aml_le(aml, 0, width);
        aml_le(aml, first, width);
        aml_le(aml, last, width);
        aml_le(aml, 0, width);
        aml_le(aml, last - first + 1, width);
}

/** aml_resource_bus_window() - WordBusNumber: the bridge's buses @first to @last */
void aml_resource_bus_window(Aml *aml, uint16_t first, uint16_t last) {
        aml_resource_window(aml, AML_RESOURCE_WORD_SPACE, 2, AML_SPACE_BUS, 0, first, last);
}

/** aml_resource_io_window() - WordIO: ports @first to @last are forwarded */
void aml_resource_io_window(Aml *aml, uint16_t first, uint16_t last) {
        aml_resource_window(aml, AML_RESOURCE_WORD_SPACE, 2, AML_SPACE_IO, AML_SPACE_IO_ENTIRE,
                            first, last);
}

/** aml_resource_memory32_window() - DWordMemory: addresses @first to @last are forwarded */
void aml_resource_memory32_window(Aml *aml, uint32_t first, uint32_t last) {
        aml_resource_window(aml, AML_RESOURCE_DWORD_SPACE, 4, AML_SPACE_MEMORY, AML_SPACE_MEMORY_RW,
                            first, last);
}

/** aml_resource_memory64_window() - QWordMemory: addresses @first to @last are forwarded */
void aml_resource_memory64_window(Aml *aml, uint64_t first, uint64_t last) {
        aml_resource_window(aml, AML_RESOURCE_QWORD_SPACE, 8, AML_SPACE_MEMORY, AML_SPACE_MEMORY_RW,
                            first, last);
}
