/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vmm_dialect.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

const char *const vmm_dialect_names[VMM_DIALECTS] = {
        [VMM_DIALECT_VIVARIUM] = "vivarium",
        [VMM_DIALECT_CROSVM] = "crosvm",
        [VMM_DIALECT_CROSVM_2023] = "crosvm-2023",
};

/** vmm_dialect_from_string() - by its name. Return: 0; -EINVAL with a sentence in @reterr. */
int vmm_dialect_from_string(const char *name, VmmDialect *ret, TextError *reterr) {
        for (size_t i = 0; i < VMM_DIALECTS; i++)
                if (str_eq(vmm_dialect_names[i], name)) {
                        *ret = (VmmDialect) i;
                        return 0;
                }
        return text_error_set(reterr, -EINVAL, "expected vivarium, crosvm or crosvm-2023, not '%s'",
                              name);
}

/** vmm_dialect_of_program() - what the name of a VMM lets expect: ours is known by it, any other is a crosvm of today */
VmmDialect vmm_dialect_of_program(const char *path) {
        const char *slash = strrchr(path, '/');

        return str_eq(slash ? slash + 1 : path, "vivarium-vmm") ? VMM_DIALECT_VIVARIUM
                                                                : VMM_DIALECT_CROSVM;
}
