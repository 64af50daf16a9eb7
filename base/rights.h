/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Capabilities of the calling process. */

int rights_keep_over_exec(void);
