/* SPDX-License-Identifier: Apache-2.0 */
/* The VMM's command line, one argument a line: what is accepted and emitted again must be accepted and emit the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/crosvm_flags.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(const StrVec *argv, StrVec *ret_emitted) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        int r = crosvm_flags_parse((int) argv->n, argv->items, &config, &error);

        if (r != 0) {
                assert(r > 0 || error.message);
                return r;
        }
        r = strvec_add(ret_emitted, "vmm");
        return r < 0 ? r : crosvm_flags_emit(&config, ret_emitted, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(strvec_deinit) StrVec argv = {0}, once = {0}, twice = {0};
        _cleanup_(freep) char *text = malloc(size + 1);
        char *rest = text;
        int r;

        if (!text)
                return 0;
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        if (strvec_add(&argv, "vmm") < 0)
                return 0;
        for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
                if (strvec_add(&argv, line) < 0)
                        return 0;
        if (parse(&argv, &once) != 0)
                return 0;
        r = parse(&once, &twice);
        assert(r == 0 && once.n == twice.n);
        for (size_t i = 0; i < once.n; i++)
                assert(strcmp(once.items[i], twice.items[i]) == 0);
        return 0;
}
