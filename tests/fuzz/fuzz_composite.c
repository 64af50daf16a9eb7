/* SPDX-License-Identifier: Apache-2.0 */
/* Composite disks: parts of a decoded one tile the disk, and encoding it gives the same again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/composite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tiling(const CompositeSpec *spec) {
        uint64_t end = 0;

        for (size_t i = 0; i < spec->n_parts; i++) {
                assert(spec->parts[i].path && spec->parts[i].path[0]);
                assert(spec->parts[i].offset == end && spec->parts[i].size > 0);
                end += spec->parts[i].size;
        }
        assert(end == spec->size && end <= COMPOSITE_SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(composite_spec_deinit) CompositeSpec spec = {0}, again = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(freep) void *bytes = NULL;
        size_t len;
        int r;

        if (composite_decode(data, size, &spec, &error) < 0) {
                assert(error.message);
                return 0;
        }
        check_tiling(&spec);
        if (composite_encode(&spec, &bytes, &len) < 0 || len > COMPOSITE_FILE_MAX)
                return 0;
        r = composite_decode(bytes, len, &again, NULL);
        assert(r == 0 && again.n_parts == spec.n_parts);
        for (size_t i = 0; i < spec.n_parts; i++)
                assert(strcmp(spec.parts[i].path, again.parts[i].path) == 0 &&
                       spec.parts[i].file_offset == again.parts[i].file_offset &&
                       spec.parts[i].writable == again.parts[i].writable);
        return 0;
}
