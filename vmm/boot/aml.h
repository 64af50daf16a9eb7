/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Writes ACPI machine language (ACPI 6.4 chapter 20): the subset that describes a fixed board. Objects that contain
 * others are opened and closed; their length is inserted when they are closed. Errors stick in the buffer.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define AML_DEPTH_MAX 16u

typedef struct Aml {
        StrBuf *out;                  /* borrowed */
        size_t starts[AML_DEPTH_MAX]; /* of the bodies of open objects, in @out */
        unsigned depth;
} Aml;

/* Names are four characters, padded with '_'; a leading '\' makes a root path of one segment. */
void aml_begin_scope(Aml *aml, const char *name);
void aml_begin_device(Aml *aml, const char *name);
void aml_begin_method(Aml *aml, const char *name, unsigned n_args);
void aml_begin_package(Aml *aml, uint8_t n_elements);
void aml_begin_if(Aml *aml);
void aml_begin_resources(Aml *aml, const char *name);
void aml_end_resources(Aml *aml);
void aml_end(Aml *aml);

void aml_integer(Aml *aml, uint64_t value);
void aml_name_integer(Aml *aml, const char *name, uint64_t value);
void aml_name_string(Aml *aml, const char *name, const char *value);
void aml_name_eisa_id(Aml *aml, const char *name, const char *id);
void aml_name_object(Aml *aml, const char *name);
void aml_bytes(Aml *aml, const void *data, size_t len);

/* Registers and statements. */
void aml_io_region(Aml *aml, const char *name, uint16_t base, uint16_t len);
void aml_begin_dword_field(Aml *aml, const char *region);
void aml_field_unit(Aml *aml, const char *name, unsigned bits);
void aml_store_integer(Aml *aml, uint64_t value, const char *name);
void aml_store_name_to_local0(Aml *aml, const char *name);
void aml_local0_and(Aml *aml, uint64_t mask);
void aml_notify(Aml *aml, const char *name, unsigned value);

/* Resource descriptors (section 6.4), between aml_begin_resources() and aml_end_resources(). */
void aml_resource_io(Aml *aml, uint16_t base, uint8_t len);
void aml_resource_irq(Aml *aml, unsigned irq);
void aml_resource_memory32(Aml *aml, uint32_t base, uint32_t size);
void aml_resource_bus_window(Aml *aml, uint16_t first, uint16_t last);
void aml_resource_io_window(Aml *aml, uint16_t first, uint16_t last);
void aml_resource_memory32_window(Aml *aml, uint32_t first, uint32_t last);
void aml_resource_memory64_window(Aml *aml, uint64_t first, uint64_t last);
