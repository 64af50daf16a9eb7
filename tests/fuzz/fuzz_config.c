/* SPDX-License-Identifier: Apache-2.0 */
/* The VM config: whatever is accepted must normalise, and the normal form must be a fixed point. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/vm_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *normalise(const char *text) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(vm_config_deinit) VmConfig config = {0};
        char *normal = NULL;

        if (vm_config_parse(text, &config, &error) < 0) {
                assert(error.message);
                return NULL;
        }
        (void) vm_config_to_json(&config, &normal);
        return normal;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = malloc(size + 1), *once = NULL, *twice = NULL;

        if (!text)
                return 0;
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        once = normalise(text);
        if (!once)
                return 0;
        twice = normalise(once);
        assert(twice && strcmp(once, twice) == 0);
        return 0;
}
