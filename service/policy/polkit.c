/* SPDX-License-Identifier: Apache-2.0 */
#include "service/policy/polkit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define POLKIT_ALLOW_USER_INTERACTION 1u

/* Time for rules and daemons to think; and for a person to find a password. */
#define CHECK_TIMEOUT_USEC (20 * USEC_PER_SEC)
#define CHECK_INTERACTIVE_TIMEOUT_USEC (300 * USEC_PER_SEC)

struct PolkitCheck {
        sd_bus *bus;       /* borrowed */
        sd_bus_slot *slot; /* owned; of the call; NULL once it is answered */
        char cancel_id
                [24]; /* by which polkit knows it: no other question of ours has this address */
        PolkitFn done;
        void *userdata;
};

static bool is_absence(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
               sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
               sd_bus_error_has_name(error, "org.freedesktop.systemd1.NoSuchUnit") ||
               sd_bus_error_has_name(error, "org.freedesktop.systemd1.UnitMasked");
}

/** polkit_read_verdict() - what an answer to CheckAuthorization() comes to */
Verdict polkit_read_verdict(sd_bus_message *reply) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        int authorized, challenge;

        if (error)
                return is_absence(error) ? VERDICT_ABSENT : VERDICT_FAILED;
        if (sd_bus_message_enter_container(reply, 'r', "bba{ss}") <= 0 ||
            sd_bus_message_read(reply, "bb", &authorized, &challenge) <= 0)
                return VERDICT_FAILED;
        if (authorized)
                return VERDICT_ALLOWED;
        return challenge ? VERDICT_CHALLENGE : VERDICT_DENIED;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        PolkitCheck *check = userdata;

        check->slot = sd_bus_slot_unref(check->slot);
        check->done(check->userdata, polkit_read_verdict(reply));
        return 0;
}

static int append_details(sd_bus_message *call, const PolkitQuestion *question) {
        int r = sd_bus_message_open_container(call, 'a', "{ss}");

        for (size_t i = 0; r >= 0 && i < question->n_details; i++)
                r = sd_bus_message_append(call, "{ss}", question->details[i].key,
                                          question->details[i].value);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static int new_call(sd_bus *bus, const PolkitQuestion *question, const char *cancel_id,
                    sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CheckAuthorization");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "(sa{sv})s", "system-bus-name", 1, "name", "s",
                                  question->sender, action_to_id(question->action));
        if (r < 0)
                return r;
        r = append_details(call, question);
        if (r < 0)
                return r;
        r = sd_bus_message_append(
                call, "us", question->interactive ? POLKIT_ALLOW_USER_INTERACTION : 0, cancel_id);
        if (r < 0)
                return r;
        *ret = TAKE(call);
        return 0;
}

/**
 * polkit_check() - ask whether the question's sender may do its action
 * @bus: borrowed; outlives the check
 * @ret: owned by the caller, also after the answer
 *
 * Return: 0; negative errno, upon which nothing was asked.
 */
int polkit_check(sd_bus *bus, const PolkitQuestion *question, PolkitFn done, void *userdata,
                 PolkitCheck **ret) {
        _cleanup_(polkit_check_freep) PolkitCheck *check = malloc(sizeof(*check));
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        if (!check)
                return -ENOMEM;
        *check = (PolkitCheck){.bus = bus, .done = done, .userdata = userdata};
        (void) snprintf(check->cancel_id, sizeof(check->cancel_id), "%p", (void *) check);
        r = new_call(bus, question, check->cancel_id, &call);
        if (r < 0)
                return r;
        r = sd_bus_call_async(bus, &check->slot, call, on_reply, check,
                              question->interactive ? CHECK_INTERACTIVE_TIMEOUT_USEC
                                                    : CHECK_TIMEOUT_USEC);
        if (r < 0)
                return r;
        *ret = TAKE(check);
        return 0;
}

/* Takes the password dialog from the screen. Nobody waits for the answer. */
static void cancel(const PolkitCheck *check) {
        (void) sd_bus_call_method_async(check->bus, NULL, POLKIT_NAME, POLKIT_PATH,
                                        POLKIT_INTERFACE, "CancelCheckAuthorization", NULL, NULL,
                                        "s", check->cancel_id);
}

/** polkit_check_free() - forget a question; one that is not answered yet is taken back. Return: NULL. */
PolkitCheck *polkit_check_free(PolkitCheck *check) {
        if (!check)
                return NULL;
        if (check->slot) {
                check->slot = sd_bus_slot_unref(check->slot);
                cancel(check);
        }
        free(check);
        return NULL;
}
