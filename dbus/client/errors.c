/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/errors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "dbus/names.h"

#define DBUS_ERROR(name) "org.freedesktop.DBus.Error." name

#define CANNOT "cannot "
#define NO_RIGHT_HINT                                                                              \
        "Run vivctl as root, ask the administrator to add you to the group vivarium, or have "     \
        "VMs of your own with: vivctl --user"

/* What a user can do about an error of the service; the message itself comes from there. */
static const struct {
        const char *name, *hint;
} hints[] = {
        {VIVARIUM_ERROR_NO_SUCH_VM, "See what there is with: vivctl list"},
        {VIVARIUM_ERROR_ALREADY_STARTED,
         "A VM is started once; make another one with: vivctl create"},
        {VIVARIUM_ERROR_NOT_RUNNING, "See its state with: vivctl show NAME"},
        {VIVARIUM_ERROR_QUOTA_EXCEEDED,
         "Release VMs that are no longer needed with: vivctl release NAME"},
        {VIVARIUM_ERROR_CID_EXHAUSTED,
         "Release VMs that are no longer needed with: vivctl release NAME"},
        {VIVARIUM_ERROR_UNSUPPORTED, "See what this host can do with: vivctl capabilities"},
        {VIVARIUM_ERROR_INVALID_TRANSITION, "See its state with: vivctl show NAME"},
        {VIVARIUM_ERROR_NAME_TAKEN,
         "Choose another name with --name, or remove the old VM with: vivctl kill NAME, "
         "vivctl release NAME"},
        {VIVARIUM_ERROR_DRAINING, "Who may drain the host ends that with: vivctl drain --cancel"},
        {VIVARIUM_ERROR_DEVICE_TAKEN, "See which are free with: vivctl devices"},
        {DBUS_ERROR("AccessDenied"), NO_RIGHT_HINT},
        {DBUS_ERROR("InteractiveAuthorizationRequired"), NO_RIGHT_HINT},
        {DBUS_ERROR("NoReply"), "Look at the service's log with: journalctl -u vivariumd"},
        {DBUS_ERROR("UnknownObject"), "See what there is with: vivctl list"},
        {DBUS_ERROR("UnknownMethod"),
         "The service is older than this vivctl; compare vivctl --version with its Version "
         "property."},
};

/* Names under which a bus says that nobody owns the service's name and nobody could be started for it. */
static const char *const absent_errors[] = {
        DBUS_ERROR("ServiceUnknown"),         DBUS_ERROR("NameHasNoOwner"),
        DBUS_ERROR("Spawn.ServiceNotFound"),  DBUS_ERROR("Spawn.ExecFailed"),
        DBUS_ERROR("Spawn.ChildExited"),      DBUS_ERROR("Spawn.ChildSignaled"),
        DBUS_ERROR("Spawn.Failed"),           "org.freedesktop.systemd1.NoSuchUnit",
        "org.freedesktop.systemd1.JobFailed",
};

static bool service_is_absent(const sd_bus_error *error) {
        for (size_t i = 0; i < ELEMENTSOF(absent_errors); i++)
                if (sd_bus_error_has_name(error, absent_errors[i]))
                        return true;
        return false;
}

static int absent_error(const Client *client, const sd_bus_error *error, int r, TextError *reterr) {
        static const char lead[] = "the service (" VIVARIUM_BUS_NAME ") is not running and the bus "
                                   "could not start it";

        switch (client->bus_kind) {
        case BUS_SYSTEM:
                return text_error_set(reterr, r, "%s: %s\nSee why with: systemctl status vivariumd",
                                      lead, error->message);
        case BUS_USER:
                return text_error_set(reterr, r,
                                      "%s: %s\nSee why with: systemctl --user status vivariumd, "
                                      "or start one with: vivariumd --user",
                                      lead, error->message);
        case BUS_ADDRESS:
                return text_error_set(reterr, r,
                                      "%s: %s\nStart one with: vivariumd --bus-address='%s'", lead,
                                      error->message, client->bus_target);
        case BUS_REMOTE:
                return text_error_set(reterr, r,
                                      "%s: %s\nSee why with: ssh %s systemctl status vivariumd",
                                      lead, error->message, client->bus_target);
        }
        return r;
}

/**
 * client_connect_error() - why no bus could be reached
 * @r: what opening the bus returned
 *
 * Return: @r, with the sentence in @reterr.
 */
int client_connect_error(const Client *client, int r, TextError *reterr) {
        switch (client->bus_kind) {
        case BUS_SYSTEM:
                return text_error_set(reterr, r,
                                      "cannot connect to the system bus: %s\nIs D-Bus running? "
                                      "See: systemctl status dbus",
                                      strerror(-r));
        case BUS_USER:
                return text_error_set(reterr, r,
                                      "cannot connect to the bus of the user session: %s\n"
                                      "DBUS_SESSION_BUS_ADDRESS or XDG_RUNTIME_DIR must be set "
                                      "as in a login session.",
                                      strerror(-r));
        case BUS_ADDRESS:
                return text_error_set(reterr, r, "cannot connect to the bus at \"%s\": %s",
                                      client->bus_target, strerror(-r));
        case BUS_REMOTE:
                return text_error_set(reterr, r,
                                      "cannot connect to the bus of %s: %s\nIt is reached with "
                                      "ssh, which must work without a password, and needs "
                                      "systemd-stdio-bridge there.",
                                      client->bus_target, strerror(-r));
        }
        return r;
}

/*
 * What stands before the service's sentence. Most of those begin with what was tried and on which VM, as ours do, which
 * must say it where no answer came; once is enough.
 */
static const char *lead(const char *act, const char *message) {
        const char *tried = act + strlen(CANNOT);

        if (strncmp(act, CANNOT, strlen(CANNOT)) != 0 ||
            strncmp(message, tried, strlen(tried)) != 0)
                return act;
        return strchr(" :", message[strlen(tried)]) ? NULL : act;
}

/**
 * client_told_error() - what the service said of a call that failed, with advice of the caller's
 * @error: set
 * @act:   as for client_call_error()
 * @hint:  what to do next, or NULL
 *
 * Return: @r, with act, cause and advice in @reterr.
 */
int client_told_error(const sd_bus_error *error, int r, const char *act, const char *hint,
                      TextError *reterr) {
        const char *message = error->message ? error->message : error->name;
        const char *before = lead(act, message);

        return text_error_set(reterr, r, "%s%s%s%s%s", before ? before : CANNOT, before ? ": " : "",
                              message, hint ? "\n" : "", hint ? hint : "");
}

/**
 * client_call_error() - why a call failed
 * @error: as the bus or the service gave it; may be unset
 * @r:     negative errno of the call
 * @act:   what was tried, e.g. "cannot start VM \"a\""
 *
 * Return: @r, with act, cause and advice in @reterr.
 */
int client_call_error(const Client *client, const sd_bus_error *error, int r, const char *act,
                      TextError *reterr) {
        const char *hint = NULL;

        /* The connection is made while the first call waits; ssh may have said more by itself. */
        if (r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE)
                return client_connect_error(client, r, reterr);
        if (!sd_bus_error_is_set(error))
                return text_error_set(reterr, r, "%s: %s", act, strerror(-r));
        if (service_is_absent(error))
                return absent_error(client, error, r, reterr);
        for (size_t i = 0; i < ELEMENTSOF(hints) && !hint; i++)
                if (sd_bus_error_has_name(error, hints[i].name))
                        hint = hints[i].hint;
        return client_told_error(error, r, act, hint, reterr);
}
