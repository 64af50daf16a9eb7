/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Standard input and output as the near end of a socket. */

int relay_standard_streams(int sock);
