/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names that crosvm has and this version does not, so that a refusal tells "not yet" from "no such thing". */

#include <stdbool.h>

bool crosvm_has_run_option(const char *name);
bool crosvm_has_global_option(const char *name);
bool crosvm_has_command(const char *name);
