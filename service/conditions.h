/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a request can meet that is the client's to handle. Functions return these beside negative errnos, with the
 * sentence in a TextError; bus/errors.c gives each its D-Bus name.
 */

enum {
        SERVICE_E_INVALID_CONFIG = 1,
        SERVICE_E_NO_SUCH_VM,
        SERVICE_E_ALREADY_STARTED,
        SERVICE_E_NOT_RUNNING,
        SERVICE_E_QUOTA_EXCEEDED,
        SERVICE_E_CID_EXHAUSTED,
        SERVICE_E_UNSUPPORTED,
        SERVICE_E_START_FAILED,
        SERVICE_E_INVALID_TRANSITION,
        SERVICE_E_NAME_TAKEN,
        SERVICE_E_ACCESS_DENIED,
        SERVICE_E_DRAINING,
        SERVICE_E_TIMEOUT,
        SERVICE_E_NOT_SUSPENDED,
        SERVICE_E_DEVICE_TAKEN,
};
