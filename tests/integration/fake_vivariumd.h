/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A service that keeps the bus contract and has no VMs behind it, for tests of its clients: what becomes of a VM is
 * said by its name. `die-CODE-REASON` writes to its console and dies at once, `loud` dies after FAKE_LOUD_LINES
 * numbered lines of 8 bytes, `fail` cannot be started, `stay` runs until Kill, `deaf` refuses Kill, `vanish` makes the
 * service leave the bus, `taken` exists already, anything else runs until its creator leaves.
 */

#define FAKE_LOUD_LINES 65536u

int fake_vivariumd_run(const char *bus_address, int ready_fd);
