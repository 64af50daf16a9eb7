/* SPDX-License-Identifier: Apache-2.0 */
#include "config/cpu_features.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

const CpuFeatureInfo cpu_feature_infos[CPU_FEATURES] = {
#define INFO(NAME, name, leaf, subleaf, reg, bit) {name, leaf, subleaf, CPUID_##reg, bit},
        CPU_FEATURE_TABLE(INFO)
#undef INFO
};

/* Return: CPU_FEATURES if nothing has that name. */
static CpuFeature find(const char *name, size_t len) {
        unsigned i = 0;

        while (i < CPU_FEATURES && (strlen(cpu_feature_infos[i].name) != len ||
                                    memcmp(cpu_feature_infos[i].name, name, len) != 0))
                i++;
        return (CpuFeature) i;
}

/**
 * cpu_feature_change_parse() - "+name,-name…": add to what guests see, or hide from it
 * @change: the later of two mentions of a feature counts; unchanged on failure
 *
 * Return: 0; -EINVAL naming what is wrong.
 */
int cpu_feature_change_parse(const char *text, CpuFeatureChange *change, TextError *reterr) {
        CpuFeatureChange c = *change;

        for (const char *at = text;; at++) {
                const size_t len = strcspn(at, ",");
                CpuFeature feature;

                if (len < 2 || (*at != '+' && *at != '-'))
                        return text_error_set(reterr, -EINVAL,
                                              "expected +NAME or -NAME, not '%.*s'", (int) len, at);
                feature = find(at + 1, len - 1);
                if (feature == CPU_FEATURES)
                        return text_error_set(reterr, -EINVAL,
                                              "no processor feature is called '%.*s'",
                                              (int) len - 1, at + 1);
                cpu_feature_set_put(&c.add, feature, *at == '+');
                cpu_feature_set_put(&c.hide, feature, *at == '-');
                at += len;
                if (!*at)
                        break;
        }
        *change = c;
        return 0;
}

/** cpu_feature_change_emit() - the text of @change, owned by the caller; NULL if it changes nothing */
int cpu_feature_change_emit(const CpuFeatureChange *change, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        bool any = false;

        for (unsigned i = 0; i < CPU_FEATURES; i++) {
                const bool add = cpu_feature_set_has(&change->add, (CpuFeature) i);

                if (!add && !cpu_feature_set_has(&change->hide, (CpuFeature) i))
                        continue;
                strbuf_append(&buf, any ? "," : "");
                strbuf_append(&buf, add ? "+" : "-");
                strbuf_append(&buf, cpu_feature_infos[i].name);
                any = true;
        }
        if (!any) {
                *ret = NULL;
                return 0;
        }
        return strbuf_finish(&buf, ret);
}
