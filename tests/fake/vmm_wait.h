/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How long fakes wait for what must come, however slow the machine is: after that something hangs. */
#define FAKE_WAIT_SECONDS 120
