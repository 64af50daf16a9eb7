/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vmm_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"

#define PAGE UINT64_C(4096)
#define PSTORE_SIZE_MIN UINT64_C(0x10000)
#define PSTORE_SIZE_MAX UINT64_C(0x10000000)

/** vmm_memory_deinit() - release what @memory owns */
void vmm_memory_deinit(VmmMemory *memory) {
        for (size_t i = 0; i < memory->n_mappings; i++)
                free(memory->mappings[i].path);
        free(memory->pstore_path);
        *memory = (VmmMemory){0};
}

static int check_mapping(const VmmFileMapping *mapping, TextError *reterr) {
        uint64_t end;

        if (!mapping->path || mapping->size == 0)
                return text_error_set(reterr, -EINVAL,
                                      "--file-backed-mapping: needs addr=, size= and path=");
        if ((mapping->address | mapping->size) % PAGE != 0 && !mapping->align)
                return text_error_set(reterr, -EINVAL,
                                      "--file-backed-mapping: %s: addr= and size= are no multiples "
                                      "of 4096; see align",
                                      mapping->path);
        if (mapping->offset % PAGE != 0 || !ADD_CHECKED(mapping->address, mapping->size, &end) ||
            end > UINT64_MAX - PAGE || mapping->offset > INT64_MAX ||
            mapping->size > INT64_MAX - PAGE - mapping->offset)
                return text_error_set(reterr, -EINVAL,
                                      "--file-backed-mapping: %s: a range that cannot be mapped",
                                      mapping->path);
        if (mapping->ram && !mapping->writable)
                return text_error_set(
                        reterr, -EINVAL,
                        "--file-backed-mapping: %s: ram needs rw: guests write to RAM",
                        mapping->path);
        return 0;
}

/**
 * vmm_memory_validate() - whether it makes sense for @ram_bytes of RAM
 *
 * Return: 0; -EINVAL with a sentence that names the option.
 */
int vmm_memory_validate(const VmmMemory *memory, uint64_t ram_bytes, TextError *reterr) {
        for (size_t i = 0; i < memory->n_mappings; i++) {
                int r = check_mapping(&memory->mappings[i], reterr);

                if (r < 0)
                        return r;
        }
        if (memory->huge_page_mib != 0 && (ram_bytes >> 20) % memory->huge_page_mib != 0)
                return text_error_set(reterr, -EINVAL,
                                      "--mem: hugetlb: %" PRIu64
                                      " MiB are no multiple of pages of %u MiB",
                                      ram_bytes >> 20, memory->huge_page_mib);
        if (memory->huge_page_mib != 0 && vmm_memory_has_ram_files(memory))
                return text_error_set(reterr, -EINVAL,
                                      "--file-backed-mapping: ram: excludes --mem hugetlb");
        if (memory->pstore_path &&
            (memory->pstore_size % PAGE != 0 || memory->pstore_size < PSTORE_SIZE_MIN ||
             memory->pstore_size > PSTORE_SIZE_MAX))
                return text_error_set(reterr, -EINVAL,
                                      "--pstore: size: expected a multiple of 4096 from 0x%" PRIx64
                                      " to 0x%" PRIx64,
                                      PSTORE_SIZE_MIN, PSTORE_SIZE_MAX);
        return 0;
}

/** vmm_memory_has_ram_files() - whether parts of RAM are files */
bool vmm_memory_has_ram_files(const VmmMemory *memory) {
        for (size_t i = 0; i < memory->n_mappings; i++)
                if (memory->mappings[i].ram)
                        return true;
        return false;
}
