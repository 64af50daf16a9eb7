/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dbus/names.h"
#include "service/bus/bus_internal.h"
#include "service/policy/audit.h"
#include "service/policy/polkit.h"

/* A call that polkit is or was asked about. It lives until its handler is done with it. */
typedef struct Query {
        Gate *gate;              /* borrowed */
        sd_bus_message *message; /* owned */
        Caller caller;
        PolkitCheck *check; /* owned; while the answer is awaited */
        Action asked;
        unsigned answered, granted; /* bits of Action */
        unsigned audited;           /* likewise: those that a line was written of */
        Verdict verdict;            /* the last one */
        const char *basis;          /* of that; a literal */
        bool gone;  /* the sender left the bus: what comes of the call would be nobody's */
        bool spent; /* the call was handled, or is being handled */
        TAILQ_ENTRY(Query) link;
} Query;

typedef TAILQ_HEAD(QueryList, Query) QueryList;

struct Gate {
        BusService *service; /* borrowed */
        gid_t group;         /* who may all but administer where there is no polkit; -1: nobody */
        QueryList queries;
        unsigned n_queries;
        sd_event_source *reaper; /* owned; frees what is spent */
        sd_bus_slot *filter;     /* owned */
        RateLimit audit_limit;
        bool absence_told; /* that there is no polkit */
};

static Query *query_free(Query *query) {
        if (!query)
                return NULL;
        TAILQ_REMOVE(&query->gate->queries, query, link);
        query->gate->n_queries--;
        (void) polkit_check_free(query->check);
        (void) sd_bus_message_unref(query->message);
        free(query);
        return NULL;
}

static void reap(Gate *gate) {
        Query *query = TAILQ_FIRST(&gate->queries);

        while (query) {
                Query *next = TAILQ_NEXT(query, link);

                if (query->spent)
                        (void) query_free(query);
                query = next;
        }
}

static int on_reap(sd_event_source *source, void *userdata) {
        reap(userdata);
        return 0;
}

static Query *find_query(const Gate *gate, const sd_bus_message *message) {
        Query *query;

        TAILQ_FOREACH(query, &gate->queries, link)
        if (query->message == message)
                return query;
        return NULL;
}

static unsigned count_of(const Gate *gate, uid_t uid) {
        const Query *query;
        unsigned n = 0;

        TAILQ_FOREACH(query, &gate->queries, link)
        n += query->caller.uid == uid;
        return n;
}

static void audit(Gate *gate, const sd_bus_message *call, const Caller *caller, const Vm *vm,
                  const AuditEvent *verdict) {
        AuditEvent event = *verdict;

        event.caller = caller;
        event.call = sd_bus_message_get_member(bus_unconst(call));
        event.vm = vm ? vm_info(vm) : NULL;
        audit_write(&event,
                    caller_is_privileged(caller, gate->service->uid) ? NULL : &gate->audit_limit,
                    manager_journal(gate->service->manager));
}

/* The VM that the call is for; NULL for other objects. */
static Vm *vm_of_call(const Gate *gate, sd_bus_message *call) {
        return vm_bus_at_path(gate->service, sd_bus_message_get_path(call));
}

static int refuse(Gate *gate, sd_bus_message *call, const Query *query, Action action,
                  sd_bus_error *error) {
        const Vm *vm = vm_of_call(gate, call);
        const char *member = sd_bus_message_get_member(call);

        audit(gate, call, &query->caller, vm,
              &(AuditEvent){
                      .action = action_to_id(action), .verdict = "denied", .basis = query->basis});
        if (query->verdict == VERDICT_CHALLENGE)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                         "%s: uid %u needs to authenticate for %s", member,
                                         query->caller.uid, action_to_id(action));
        if (vm)
                return sd_bus_error_setf(
                        error, SD_BUS_ERROR_ACCESS_DENIED,
                        "%s: VM \"%s\" belongs to uid %u, and uid %u may not %s: %s", member,
                        vm_info(vm)->name, vm_info(vm)->owner_uid, query->caller.uid,
                        action_to_word(action), query->basis);
        return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED, "%s: uid %u may not %s: %s",
                                 member, query->caller.uid, action_to_word(action), query->basis);
}

/* The group stands for what an administrator would have said, had he a polkit to say it to. */
static void decide_without_polkit(Query *query) {
        Gate *gate = query->gate;
        bool allowed = gate->group != (gid_t) -1 && query->asked != ACTION_ADMINISTER &&
                       query->asked != ACTION_INSPECT &&
                       caller_is_in_group(&query->caller, gate->group);

        if (!gate->absence_told)
                log_notice("polkit is not on this bus: besides root, only members of the "
                           "configured group may have VMs");
        gate->absence_told = true;
        query->verdict = allowed ? VERDICT_ALLOWED : VERDICT_DENIED;
        query->basis = allowed ? "member of the group"
                               : "there is no polkit, and the caller is not in the group";
}

static const char *basis_of(Verdict verdict) {
        switch (verdict) {
        case VERDICT_ALLOWED:
        case VERDICT_DENIED:
        case VERDICT_ABSENT:
                return "polkit";
        case VERDICT_CHALLENGE:
                return "polkit asks for a password";
        case VERDICT_FAILED:
                return "polkit did not answer";
        }
        return "";
}

/* The call goes through sd-bus again, and comes to on_message() as the first time. */
static void on_verdict(void *userdata, Verdict verdict) {
        Query *query = userdata;
        int r;

        query->check = polkit_check_free(query->check);
        query->verdict = verdict;
        query->basis = basis_of(verdict);
        if (verdict == VERDICT_ABSENT)
                decide_without_polkit(query);
        else
                query->gate->absence_told = false;
        query->answered |= 1u << query->asked;
        if (query->verdict == VERDICT_ALLOWED)
                query->granted |= 1u << query->asked;
        r = sd_bus_enqueue_for_read(query->gate->service->bus, query->message);
        if (r < 0) {
                (void) sd_bus_reply_method_errno(query->message, r, NULL);
                (void) query_free(query);
        }
}

static int check_room(const Gate *gate, sd_bus_message *call, uid_t uid, sd_bus_error *error) {
        if (gate->n_queries < GATE_PENDING_MAX && count_of(gate, uid) < GATE_PENDING_PER_UID_MAX)
                return 0;
        return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                 "%s: too many calls of uid %u wait for authorization",
                                 sd_bus_message_get_member(call), uid);
}

/* NULL without memory. */
static Query *query_new(Gate *gate, sd_bus_message *call, const Caller *caller) {
        Query *query = malloc(sizeof(*query));

        if (!query)
                return NULL;
        *query = (Query){.gate = gate, .message = sd_bus_message_ref(call), .caller = *caller};
        TAILQ_INSERT_TAIL(&gate->queries, query, link);
        gate->n_queries++;
        return query;
}

/* Return: 1, the answer comes later; negative errno. */
static int ask(Gate *gate, Query *query, Action action) {
        sd_bus_message *call = query->message;
        const Vm *vm = vm_of_call(gate, call);
        char owner[16];
        const PolkitDetail details[] = {
                {"call", sd_bus_message_get_member(call)},
                {"vm", vm ? vm_info(vm)->name : ""},
                {"owner", owner},
        };
        const PolkitQuestion question = {
                .sender = sd_bus_message_get_sender(call),
                .action = action,
                .details = details,
                .n_details = vm ? ELEMENTSOF(details) : 1,
                .interactive = action != ACTION_INSPECT &&
                               sd_bus_message_get_allow_interactive_authorization(call) > 0,
        };
        int r;

        (void) snprintf(owner, sizeof(owner), "%u", vm ? vm_info(vm)->owner_uid : 0);
        query->asked = action;
        query->spent = false;
        r = polkit_check(gate->service->bus, &question, on_verdict, query, &query->check);
        if (r < 0) {
                (void) query_free(query);
                return r;
        }
        return 1;
}

/*
 * What is known of the right of @caller to @action, asking if nothing is.
 * Return: NULL if nothing is known yet, with @ret_r: 1, the answer comes later; negative errno with @error set.
 */
static Query *look_up(Gate *gate, sd_bus_message *call, const Caller *caller, Action action,
                      int *ret_r, sd_bus_error *error) {
        Query *query = find_query(gate, call);

        if (!query) {
                *ret_r = check_room(gate, call, caller->uid, error);
                if (*ret_r < 0)
                        return NULL;
                query = query_new(gate, call, caller);
                *ret_r = query ? 0 : -ENOMEM;
                if (!query)
                        return NULL;
        }
        if (!(query->answered & (1u << action))) {
                *ret_r = ask(gate, query, action);
                return NULL;
        }
        /* Whoever looked it up is about to act on it. */
        query->spent = true;
        (void) sd_event_source_set_enabled(gate->reaper, SD_EVENT_ONESHOT);
        return query;
}

static void audit_grant(Gate *gate, sd_bus_message *call, Query *query, Action action) {
        /* A call comes by once more for each further right that it needs. */
        if (query->audited & (1u << action))
                return;
        query->audited |= 1u << action;
        audit(gate, call, &query->caller, vm_of_call(gate, call),
              &(AuditEvent){
                      .action = action_to_id(action), .verdict = "allowed", .basis = query->basis});
}

/* Return: 0, the unprivileged @caller has the right; 1, the answer comes later; negative errno with @error set. */
static int require(Gate *gate, sd_bus_message *call, const Caller *caller, Action action,
                   bool audited, sd_bus_error *error) {
        int r;
        Query *query = look_up(gate, call, caller, action, &r, error);

        if (!query)
                return r;
        if (!(query->granted & (1u << action)))
                return refuse(gate, call, query, action, error);
        if (audited)
                audit_grant(gate, call, query, action);
        return 0;
}

/**
 * gate_require() - one more right that turned out to be needed while a handler read its call
 *
 * Return: 0, the caller has it; 1, the call is kept and the handler will be called anew, so it must return 1 and leave
 * nothing done; negative errno with @error set, to be returned.
 */
int gate_require(Gate *gate, sd_bus_message *call, Action action, sd_bus_error *error) {
        Caller caller;
        int r;

        r = bus_identify(gate->service, call, &caller);
        if (r < 0)
                return r;
        if (caller_is_privileged(&caller, gate->service->uid))
                return 0;
        return require(gate, call, &caller, action, /* audited= */ true, error);
}

/** gate_look() - what the sender of @call, which went through the gate, may know of; valid while @call is handled */
GateSight gate_look(Gate *gate, sd_bus_message *call) {
        const Query *query;
        Caller caller;

        if (caller_identify(&gate->service->callers, call, &caller) < 0)
                return (GateSight){0};
        query = find_query(gate, call);
        return (GateSight){.all = caller_is_privileged(&caller, gate->service->uid) ||
                                  (query && (query->granted & (1u << ACTION_INSPECT))),
                           .own = true,
                           .uid = caller.uid};
}

/** gate_may_see() - whether that is so of a VM of @owner_uid */
bool gate_may_see(Gate *gate, sd_bus_message *call, uid_t owner_uid) {
        const GateSight sight = gate_look(gate, call);

        return gate_sees(&sight, owner_uid);
}

static void audit_by_right(Gate *gate, sd_bus_message *call, const Caller *caller, const Vm *vm,
                           const char *basis) {
        audit(gate, call, caller, vm,
              &(AuditEvent){.action = "", .verdict = "allowed", .basis = basis});
}

static int pass_vm_call(Gate *gate, sd_bus_message *call, const Caller *caller, const Vm *vm,
                        sd_bus_error *error) {
        const bool reads = action_vm_call_is_reading(sd_bus_message_get_interface(call));
        const bool owns = caller->uid == vm_info(vm)->owner_uid;

        if (!owns && !caller_is_privileged(caller, gate->service->uid))
                return require(gate, call, caller, reads ? ACTION_INSPECT : ACTION_ADMINISTER,
                               /* audited= */ !reads, error);
        if (!reads)
                audit_by_right(gate, call, caller, vm, owns ? "owner" : "privileged");
        return 0;
}

/* Whether there is a VM that @uid does not own, but for those that are only in the history. */
static bool there_are_others(const Gate *gate, uid_t uid) {
        for (Vm *vm = manager_first_vm(gate->service->manager); vm;
             vm = manager_next_vm(gate->service->manager, vm))
                if (vm_info(vm)->owner_uid != uid)
                        return true;
        return false;
}

static int pass_sight(Gate *gate, sd_bus_message *call, const Caller *caller, sd_bus_error *error) {
        int r;

        if (!there_are_others(gate, caller->uid) &&
            !str_eq(sd_bus_message_get_member(call), "GetHistory"))
                return 0;
        return look_up(gate, call, caller, ACTION_INSPECT, &r, error) ? 0 : r;
}

static int pass_other_call(Gate *gate, sd_bus_message *call, const Caller *caller,
                           sd_bus_error *error) {
        const CallRule *rule = action_find_rule(sd_bus_message_get_interface(call),
                                                sd_bus_message_get_member(call));
        const bool privileged = caller_is_privileged(caller, gate->service->uid);

        if (rule && rule->need == NEED_NOTHING)
                return 0;
        if (rule && rule->need == NEED_SIGHT)
                return privileged ? 0 : pass_sight(gate, call, caller, error);
        if (!privileged)
                return require(gate, call, caller, rule ? rule->action : ACTION_ADMINISTER,
                               /* audited= */ !rule || rule->audited, error);
        if (rule && rule->audited)
                audit_by_right(gate, call, caller, NULL, "privileged");
        return 0;
}

/* sd-bus shows us each message before it looks for a handler. Return: 0 to go on; 1 if it is kept; negative errno. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Gate *gate = userdata;
        Query *query;
        const Vm *vm;
        Caller caller;
        uint8_t type;
        int r;

        if (sd_bus_message_get_type(message, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;
        reap(gate);
        query = find_query(gate, message);
        if (query && query->gone) {
                (void) query_free(query);
                return 1;
        }
        if (!sd_bus_message_get_interface(message))
                return sd_bus_error_setf(error, SD_BUS_ERROR_UNKNOWN_INTERFACE,
                                         "%s: the call does not say of which interface",
                                         sd_bus_message_get_member(message));
        r = bus_identify(gate->service, message, &caller);
        if (r < 0)
                return r;
        vm = vm_of_call(gate, message);
        if (vm)
                return pass_vm_call(gate, message, &caller, vm, error);
        /* What is not there says so by itself, and needs no right. */
        if (str_after_prefix(sd_bus_message_get_path(message), VIVARIUM_VM_PATH_PREFIX))
                return 0;
        return pass_other_call(gate, message, &caller, error);
}

/**
 * gate_forget_sender() - @name left the bus: take back what is asked for it
 *
 * A call that has its answer already is on its way through sd-bus and is dropped when it comes by.
 */
void gate_forget_sender(Gate *gate, const char *name) {
        Query *query = TAILQ_FIRST(&gate->queries);

        while (query) {
                Query *next = TAILQ_NEXT(query, link);

                if (str_eq(sd_bus_message_get_sender(query->message), name)) {
                        if (query->check)
                                (void) query_free(query);
                        else
                                query->gone = true;
                }
                query = next;
        }
}

/**
 * gate_new() - let no call through that its sender may not make
 * @service: borrowed; its bus must not have been processed yet
 * @group:   whose members may have VMs where there is no polkit; -1: only root may
 *
 * Return: 0 or negative errno.
 */
int gate_new(BusService *service, sd_event *event, gid_t group, Gate **ret) {
        _cleanup_(gate_freep) Gate *gate = malloc(sizeof(*gate));
        int r;

        if (!gate)
                return -ENOMEM;
        *gate = (Gate){.service = service, .group = group, .audit_limit = AUDIT_LIMIT_DEFAULT};
        TAILQ_INIT(&gate->queries);
        r = sd_event_add_defer(event, &gate->reaper, on_reap, gate);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(gate->reaper, SD_EVENT_OFF);
        if (r < 0)
                return r;
        /* After the handler, which the bus calls in the same turn. */
        r = sd_event_source_set_priority(gate->reaper, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;
        r = sd_bus_add_filter(service->bus, &gate->filter, on_message, gate);
        if (r < 0)
                return r;
        *ret = TAKE(gate);
        return 0;
}

/** gate_free() - calls that wait get no answer from us; the bus gives them one. Return: NULL. */
Gate *gate_free(Gate *gate) {
        Query *query;

        if (!gate)
                return NULL;
        while ((query = TAILQ_FIRST(&gate->queries)))
                (void) query_free(query);
        (void) sd_bus_slot_unref(gate->filter);
        (void) sd_event_source_disable_unref(gate->reaper);
        free(gate);
        return NULL;
}
