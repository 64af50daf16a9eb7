/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/errors.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "dbus/names.h"
#include "service/conditions.h"
#include "service/text.h"

static const char *const names[] = {
        [SERVICE_E_INVALID_CONFIG] = VIVARIUM_ERROR_INVALID_CONFIG,
        [SERVICE_E_NO_SUCH_VM] = VIVARIUM_ERROR_NO_SUCH_VM,
        [SERVICE_E_ALREADY_STARTED] = VIVARIUM_ERROR_ALREADY_STARTED,
        [SERVICE_E_NOT_RUNNING] = VIVARIUM_ERROR_NOT_RUNNING,
        [SERVICE_E_QUOTA_EXCEEDED] = VIVARIUM_ERROR_QUOTA_EXCEEDED,
        [SERVICE_E_CID_EXHAUSTED] = VIVARIUM_ERROR_CID_EXHAUSTED,
        [SERVICE_E_UNSUPPORTED] = VIVARIUM_ERROR_UNSUPPORTED,
        [SERVICE_E_START_FAILED] = VIVARIUM_ERROR_START_FAILED,
        [SERVICE_E_INVALID_TRANSITION] = VIVARIUM_ERROR_INVALID_TRANSITION,
        [SERVICE_E_NAME_TAKEN] = VIVARIUM_ERROR_NAME_TAKEN,
        [SERVICE_E_ACCESS_DENIED] = SD_BUS_ERROR_ACCESS_DENIED,
        [SERVICE_E_DRAINING] = VIVARIUM_ERROR_DRAINING,
        [SERVICE_E_TIMEOUT] = VIVARIUM_ERROR_TIMEOUT,
        [SERVICE_E_NOT_SUSPENDED] = VIVARIUM_ERROR_NOT_SUSPENDED,
        [SERVICE_E_DEVICE_TAKEN] = VIVARIUM_ERROR_DEVICE_TAKEN,
};

/** errors_name() - the D-Bus name of a SERVICE_E_* condition; NULL for any other number */
const char *errors_name(int condition) {
        return condition > 0 && (size_t) condition < ELEMENTSOF(names) ? names[condition] : NULL;
}

/**
 * errors_set() - a condition or negative errno as D-Bus error
 * @message: optional for a negative errno; what is not UTF-8 in it, and so could not be sent, is replaced
 *
 * Return: negative errno, to be returned from a method handler.
 */
int errors_set(sd_bus_error *error, int r, const char *message) {
        _cleanup_(freep) char *sane = NULL;
        const char *name = errors_name(r);

        if (message && text_sanitize(message, strlen(message), &sane) < 0)
                return sd_bus_error_set_errno(error, -ENOMEM);
        if (name)
                return sd_bus_error_set(error, name, sane);
        if (sane)
                return sd_bus_error_set_errnof(error, r, "%s", sane);
        return sd_bus_error_set_errno(error, r);
}
