/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* SemVer requirements, "~1.0" or ">=1.0, <2", as Android's platform_version spells them. */

#include <stdbool.h>

int semver_requirement_parse(const char *requirement);
int semver_requirement_matches(const char *requirement, const char *version, bool *ret);
