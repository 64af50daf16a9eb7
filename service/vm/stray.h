/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What runs for a VM that nobody knows. */

void vm_stray_end(const char *directory);
void vm_stray_end_recorded(int record_file);
