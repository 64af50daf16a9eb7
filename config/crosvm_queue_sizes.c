/* SPDX-License-Identifier: Apache-2.0 */
#include "config/crosvm_queue_sizes.h"

#include <errno.h>

#include "base/str.h"

#define QUEUE_SIZE_MIN 2u
#define QUEUE_SIZE_MAX 1024u /* what the devices take */

/**
 * crosvm_queue_sizes_set() - a [list] with a size for each of @n_queues queues
 * @ret: all set on success only
 *
 * Return: 0; -EINVAL with a sentence; -ENOMEM.
 */
int crosvm_queue_sizes_set(const KvItem *item, uint16_t *ret, unsigned n_queues,
                           TextError *reterr) {
        _cleanup_(strvec_deinit) StrVec numbers = {0};
        int r = kv_get_strings(item, n_queues, &numbers, reterr);

        if (r < 0)
                return r;
        if (numbers.n != n_queues)
                return text_error_set(reterr, -EINVAL, "expected %u sizes, not %zu", n_queues,
                                      numbers.n);
        for (size_t i = 0; i < numbers.n; i++) {
                uint32_t size;

                if (parse_u32(numbers.items[i], &size) < 0 || size < QUEUE_SIZE_MIN ||
                    size > QUEUE_SIZE_MAX || (size & (size - 1)) != 0)
                        return text_error_set(reterr, -EINVAL,
                                              "expected powers of two from %u to %u, not '%s'",
                                              QUEUE_SIZE_MIN, QUEUE_SIZE_MAX, numbers.items[i]);
                ret[i] = (uint16_t) size;
        }
        return 0;
}

/** crosvm_queue_sizes_append() - the key for them, if they are given */
void crosvm_queue_sizes_append(StrBuf *buf, const uint16_t *sizes, unsigned n_queues) {
        if (sizes[0] == 0)
                return;
        for (unsigned i = 0; i < n_queues; i++)
                strbuf_printf(buf, "%s%u", i == 0 ? ",max-queue-sizes=[" : ",", sizes[i]);
        strbuf_append(buf, "]");
}
