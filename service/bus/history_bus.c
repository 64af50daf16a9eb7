/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/history_bus.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/str.h"
#include "service/bus/bus_internal.h"
#include "service/bus/record.h"
#include "service/vm/fields.h"

/*
 * The history is on a disk, which may be slow, so the loop goes on while it is read. One call is answered at a time, for an
 * answer can be some MiB; the others wait for their turn, and each user may have a few of them.
 */

typedef struct HistoryCall {
        PendingCall *call;     /* owned */
        uid_t uid;             /* the caller's */
        GateSight sight;       /* what that one may know of, as it was in the call */
        const char *name;      /* borrowed from the call; "" for all */
        uint32_t left;         /* so many more may be told */
        sd_bus_message *reply; /* owned; once its turn has come */
        TAILQ_ENTRY(HistoryCall) link;
} HistoryCall;

struct HistoryCalls {
        BusService *service;            /* borrowed */
        TAILQ_HEAD(, HistoryCall) list; /* owned; the first one is being answered */
        bool busy;
        HistoryReader *reader; /* of the first one, while there is more to be read */
};

static HistoryCall *history_call_free(HistoryCalls *calls, HistoryCall *call) {
        TAILQ_REMOVE(&calls->list, call, link);
        if (call->call)
                (void) pending_call_free(call->call);
        (void) sd_bus_message_unref(call->reply);
        free(call);
        return NULL;
}

/* Whether the death of the VM in @info is one that was asked for, and the caller's to know. */
static bool is_wanted(const HistoryCall *call, const VmInfo *info) {
        return gate_sees(&call->sight, info->owner_uid) &&
               (!*call->name || str_eq(info->name, call->name) || str_eq(info->id, call->name));
}

/* What another version wrote, and this one does not understand, is passed over. */
static int on_found(void *userdata, const Fields *record) {
        HistoryCalls *calls = userdata;
        HistoryCall *call = TAILQ_FIRST(&calls->list);
        VmInfo info = {0};
        int r = vm_info_from_fields(record, &info);

        if (r == 0 && is_wanted(call, &info)) {
                r = record_append_history(call->reply, &info);
                call->left--;
        }
        vm_info_deinit(&info);
        if (r < 0 && r != -EBADMSG && r != -EPROTONOSUPPORT)
                return r;
        return call->left == 0;
}

static int send(HistoryCall *call) {
        int r = sd_bus_message_close_container(call->reply);

        return r < 0 ? r : sd_bus_send(NULL, call->reply, NULL);
}

static void answer(HistoryCalls *calls, int r) {
        HistoryCall *call = TAILQ_FIRST(&calls->list);

        calls->busy = false;
        if (r == 0)
                r = send(call);
        if (r < 0 && r != -ENOTCONN)
                pending_call_done(TAKE(call->call), r, NULL);
        (void) history_call_free(calls, call);
}

static void answer_next(HistoryCalls *calls);

static void on_ended(void *userdata, int r) {
        HistoryCalls *calls = userdata;

        calls->reader = NULL;
        answer(calls, r);
        answer_next(calls);
}

/* Return: 0; negative errno, nothing will be read. */
static int begin(HistoryCalls *calls) {
        const HistoryListener listener = {on_found, on_ended, calls};
        HistoryCall *call = TAILQ_FIRST(&calls->list);
        int r;

        calls->busy = true;
        r = sd_bus_message_new_method_return(call->call->message, &call->reply);
        if (r >= 0)
                r = sd_bus_message_open_container(call->reply, 'a', "a{sv}");
        return r < 0 ? r : manager_read_history(calls->service->manager, &listener, &calls->reader);
}

static void answer_next(HistoryCalls *calls) {
        while (!calls->busy && !TAILQ_EMPTY(&calls->list)) {
                int r = begin(calls);

                if (!calls->reader)
                        answer(calls, r);
        }
}

static int check_room(const HistoryCalls *calls, uid_t uid, sd_bus_error *error) {
        const HistoryCall *call;
        unsigned n = 0, own = 0;

        TAILQ_FOREACH(call, &calls->list, link) {
                n++;
                own += call->uid == uid;
        }
        if (n < HISTORY_CALLS_MAX && own < HISTORY_CALLS_PER_UID_MAX)
                return 0;
        return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                 "GetHistory: too many calls of uid %u wait for their answer", uid);
}

/** manager_bus_get_history() - Manager.GetHistory() */
int manager_bus_get_history(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        HistoryCalls *calls = service->history;
        HistoryCall *call;
        const char *name;
        Caller caller;
        uint32_t max;
        int r;

        r = sd_bus_message_read(message, "su", &name, &max);
        if (r >= 0)
                r = bus_identify(service, message, &caller);
        if (r >= 0)
                r = check_room(calls, caller.uid, error);
        if (r < 0)
                return r;
        call = malloc(sizeof(*call));
        if (!call)
                return -ENOMEM;
        *call = (HistoryCall){.uid = caller.uid,
                              .sight = gate_look(service->gate, message),
                              .name = name,
                              .left = max == 0 ? UINT32_MAX : max};
        r = pending_call_new(service, message, &call->call);
        if (r < 0) {
                free(call);
                return r;
        }
        TAILQ_INSERT_TAIL(&calls->list, call, link);
        answer_next(calls);
        return 1;
}

/** history_calls_new() - none yet. Return: 0 or -ENOMEM. */
int history_calls_new(BusService *service, HistoryCalls **ret) {
        HistoryCalls *calls = malloc(sizeof(*calls));

        if (!calls)
                return -ENOMEM;
        *calls = (HistoryCalls){.service = service};
        TAILQ_INIT(&calls->list);
        *ret = calls;
        return 0;
}

/** history_calls_free() - those that wait get no answer from us; the bus gives them one. Return: NULL. */
HistoryCalls *history_calls_free(HistoryCalls *calls) {
        if (!calls)
                return NULL;
        history_reader_cancel(calls->reader);
        while (!TAILQ_EMPTY(&calls->list))
                (void) history_call_free(calls, TAILQ_FIRST(&calls->list));
        free(calls);
        return NULL;
}
