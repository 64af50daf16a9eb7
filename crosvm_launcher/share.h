/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The processes that serve a VM's shared folders. */

#include "base/text_error.h"
#include "config/launch_plan.h"

int shares_serve(const LaunchPlan *plan, int record_fd, TextError *reterr);
int share_argv(const char *virtiofsd, StrVec *ret);
