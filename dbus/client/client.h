/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One run of vivctl: which bus, which output, and the calls that every verb makes. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "base/str.h"
#include "base/text_error.h"
#include "dbus/client/options.h"
#include "dbus/client/value.h"

typedef enum BusKind {
        BUS_SYSTEM,
        BUS_USER,
        BUS_ADDRESS, /* @bus_target is a D-Bus address */
        BUS_REMOTE,  /* @bus_target is [user@]host */
} BusKind;

typedef enum JsonMode {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY,
} JsonMode;

/* The command line is wrong; vivctl exits with EXIT_STATUS_USAGE. No errno, so that no call's failure is taken for it. */
#define CLIENT_E_USAGE (-5000)

struct Client {
        BusKind bus_kind;
        const char *bus_target; /* borrowed from argv; NULL unless the kind says otherwise */
        JsonMode json;
        bool legend;
        sd_bus *bus; /* owned; NULL until client_connect() */
};

int client_init(Client *client, const Args *args, TextError *reterr);
void client_deinit(Client *client);

int client_connect(Client *client, TextError *reterr);
int client_new_call(Client *client, const char *path, const char *interface, const char *method,
                    sd_bus_message **ret, TextError *reterr);
int client_send(Client *client, sd_bus_message *call, sd_bus_message **ret_reply,
                sd_bus_error *error);
int client_read(sd_bus_message *reply, Value **ret, TextError *reterr);

int client_get_property(Client *client, const char *path, const char *name, Value **ret,
                        TextError *reterr);
int client_list_vms(Client *client, Value **ret, TextError *reterr);
int client_find_vm(Client *client, const char *which, char **ret_path, TextError *reterr);

int client_read_vm(Client *client, const char *which, const char *path, Value **ret,
                   TextError *reterr);

int client_get_history(Client *client, const char *which, uint32_t max, Value **ret,
                       TextError *reterr);

int client_print_json(const Client *client, const Value *value);
int client_print_text(StrBuf *text);
void client_print_error(const TextError *error, int r);
