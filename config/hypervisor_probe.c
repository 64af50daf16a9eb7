/* SPDX-License-Identifier: Apache-2.0 */
#include "config/hypervisor_probe.h"

#include <errno.h>
#include <string.h>

static const struct {
        VmmHypervisor hypervisor;
        const char *name;
} names[] = {
        {VMM_HYPERVISOR_KVM, "kvm"},
        {VMM_HYPERVISOR_SOFT, "soft"},
};

/** hypervisor_probe_print() - write the line for one hypervisor. Return: 0; -EINVAL for "auto"; -EIO. */
int hypervisor_probe_print(FILE *out, const HypervisorProbe *probe) {
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (names[i].hypervisor == probe->hypervisor)
                        return fprintf(out, "%s %s %s\n", names[i].name,
                                       probe->available ? "yes" : "no", probe->reason) < 0
                                       ? -EIO
                                       : 0;
        return -EINVAL;
}

static bool take_word(const char **p, const char *word) {
        const char *rest = str_after_prefix(*p, word);

        if (!rest || *rest != ' ')
                return false;
        *p = rest + 1;
        return true;
}

/**
 * hypervisor_probe_parse() - read one line, with or without its newline
 * @ret: a longer reason is cut
 *
 * Return: 0; -EBADMSG for any other line, among them one about a hypervisor this build does not know.
 */
int hypervisor_probe_parse(const char *line, HypervisorProbe *ret) {
        HypervisorProbe probe = {0};
        const char *p = line;
        size_t i = 0, n;

        while (i < ELEMENTSOF(names) && !take_word(&p, names[i].name))
                i++;
        if (i == ELEMENTSOF(names))
                return -EBADMSG;
        probe.hypervisor = names[i].hypervisor;
        probe.available = take_word(&p, "yes");
        if (!probe.available && !take_word(&p, "no"))
                return -EBADMSG;
        n = MIN(strcspn(p, "\n"), sizeof(probe.reason) - 1);
        memcpy(probe.reason, p, n);
        *ret = probe;
        return 0;
}
