/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/stop_timeout.h"

#include "dbus/client/client.h"

#include <errno.h>

#include "base/str.h"

#define SEC_DEFAULT 90u
#define SEC_MAX 86400u

/**
 * stop_timeout_read() - how long VMs may take to stop by themselves: --timeout in seconds, 90 without it
 * @ret_usec: up to a day
 *
 * Return: 0; CLIENT_E_USAGE, told in @reterr.
 */
int stop_timeout_read(const Args *args, uint64_t *ret_usec, TextError *reterr) {
        const char *text = args_value(args, OPTION_TIMEOUT);
        uint32_t sec = SEC_DEFAULT;

        if (text && (parse_u32(text, &sec) < 0 || sec > SEC_MAX))
                return text_error_set(reterr, CLIENT_E_USAGE,
                                      "--timeout: expected 0 to %u seconds, not \"%s\"", SEC_MAX,
                                      text);
        *ret_usec = sec * USEC_PER_SEC;
        return 0;
}
