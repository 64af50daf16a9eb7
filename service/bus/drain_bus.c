/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/bus_internal.h"

/* Who gives VMs a day gives them for ever. */
#define DRAIN_TIMEOUT_USEC_MAX (24 * 3600 * USEC_PER_SEC)

static void on_drained(void *userdata, int r) {
        pending_call_done(userdata, r, r < 0 ? "drain: cancelled" : NULL);
}

/** manager_bus_drain() - Manager.Drain() */
int manager_bus_drain(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;
        uint64_t timeout_usec;
        PendingCall *call;
        Caller caller;
        int r;

        r = bus_identify(service, message, &caller);
        if (r < 0)
                return r;
        r = sd_bus_message_read(message, "t", &timeout_usec);
        if (r < 0)
                return r;
        r = pending_call_new(service, message, &call);
        if (r < 0)
                return r;
        r = manager_drain(service->manager,
                          &(StopRequest){.by = STOP_BY_DRAIN, .uid = caller.uid, .pid = caller.pid},
                          MIN(timeout_usec, (uint64_t) DRAIN_TIMEOUT_USEC_MAX), on_drained, call);
        if (r < 0) {
                (void) pending_call_free(call);
                return r;
        }
        changed_mark_manager(service->changed, MANAGER_CHANGED_DRAINING);
        return 1;
}

/** manager_bus_cancel_drain() - Manager.CancelDrain() */
int manager_bus_cancel_drain(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        BusService *service = userdata;

        manager_cancel_drain(service->manager);
        changed_mark_manager(service->changed, MANAGER_CHANGED_DRAINING);
        return sd_bus_reply_method_return(message, NULL);
}

/** manager_bus_get_draining() - property Draining */
int manager_bus_get_draining(sd_bus *bus, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error) {
        const BusService *service = userdata;

        return sd_bus_message_append(reply, "b", (int) manager_is_draining(service->manager));
}
