/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The control socket: whoever can connect rules the machine, and may still be a fool. Requests are parsed here and handed
 * to the one handler of their kind, on the thread of the machine's loop; the handler answers at once or later.
 */

#include "base/cleanup.h"
#include "base/text_error.h"
#include "config/control_message.h"
#include "vmm/event/loop.h"

typedef struct ControlServer ControlServer;
typedef struct ControlCall ControlCall;

#define CONTROL_CLIENTS_MAX 32u
#define CONTROL_CALLS_MAX                                                                          \
        16u /* of one client at once; then it is not read from until one is answered */

/**
 * ControlHandler - do what @call asks
 *
 * On the loop's thread, with no device's lock held. Answers exactly once, now or later on that thread, with one of the
 * functions below, which release the call. A client that went away meanwhile makes no difference. Calls that are
 * unanswered when the server is freed are released with it.
 */
typedef void (*ControlHandler)(void *userdata, ControlCall *call);

int control_server_new(Loop *loop, ControlServer **ret);
ControlServer *control_server_free(ControlServer *server);
DEFINE_CLEANUP(ControlServer *, control_server_free)
void control_server_handle(ControlServer *server, ControlKind kind, ControlHandler handler,
                           void *userdata);
int control_server_listen(ControlServer *server, const char *path, TextError *reterr);
int control_server_listen_consume(ControlServer *server, int listen_fd);

const ControlRequest *control_call_request(const ControlCall *call);
int control_call_take_fd(ControlCall *call);
void control_call_answer(ControlCall *call, const ControlAnswer *answer);
void control_call_ok(ControlCall *call);
void control_call_fail(ControlCall *call, const char *format, ...) _printf_(2, 3);
