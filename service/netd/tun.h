/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/net_message.h"

int tun_open(const char *name, unsigned n, int *fds, char ret_name[static NET_INTERFACE_MAX + 1]);
