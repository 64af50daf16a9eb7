/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How many descriptors VMs may take, so that some are left to hear of the next call with. */

int fd_budget_check(int fd);
