/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names that crosvm has and this version does not, so that a refusal tells why. */

const char *crosvm_run_option_reason(const char *name);
const char *crosvm_command_reason(const char *name);
