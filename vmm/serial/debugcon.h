/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The port that firmware writes its log to: a byte written is a byte of output, and reading it says that it is there. */

#include <stdint.h>

#include "vmm/chardev/char.h"
#include "vmm/mem/bus.h"

int debugcon_add(Bus *pio, uint16_t port, CharDev *chardev);
