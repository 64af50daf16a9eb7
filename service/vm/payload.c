/* SPDX-License-Identifier: Apache-2.0 */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "service/text.h"
#include "service/vm/internal.h"

/*
 * The payload: what the guest was started for. Its state moves forward only, by what the guest says, and by the boot
 * timeout if it says nothing.
 */

#define BOOT_TIMEOUT_USEC (30 * USEC_PER_SEC) /* Android's numbers */
#define BOOT_TIMEOUT_SLOW_USEC (300 * USEC_PER_SEC)
#define BOOT_TIMEOUT_ACCURACY_USEC (100 * USEC_PER_MSEC)

#define CPUID_1_ECX_HYPERVISOR (1u << 31)

static bool host_is_virtual(void) {
        unsigned eax, ebx, ecx, edx;

        return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & CPUID_1_ECX_HYPERVISOR);
}

/** vm_boot_timeout() - how long the payload of a VM may take to start; 0: as long as it likes */
usec_t vm_boot_timeout(const VmRequest *request) {
        if (request->has_boot_timeout)
                return request->boot_timeout_usec;
        /* Whoever debugs a guest makes it wait. */
        if (!request->config.detect_hangup || request->config.gdb_port > 0)
                return 0;
        return request->hypervisor == VMM_HYPERVISOR_KVM && !host_is_virtual()
                       ? BOOT_TIMEOUT_USEC
                       : BOOT_TIMEOUT_SLOW_USEC;
}

static void tell(Vm *vm, VmPayloadEventKind kind, int code, const char *text) {
        const VmPayloadEvent event = {.kind = kind, .code = code, .text = text};

        vm->env->payload(vm->env->userdata, vm, &event);
}

/* Return: whether the machine has that edge. */
static bool move_to(Vm *vm, VmPayloadState state) {
        if (state <= vm->info.payload)
                return false;
        log_line(LOG_LEVEL_DEBUG, vm->info.name, "payload: %s -> %s",
                 vm_payload_state_to_string(vm->info.payload), vm_payload_state_to_string(state));
        vm->info.payload = state;
        vm->boot_timer = sd_event_source_disable_unref(vm->boot_timer);
        return true;
}

static void set_started(Vm *vm) {
        if (!move_to(vm, VM_PAYLOAD_STARTED))
                return;
        vm->info.payload_started_usec = clock_realtime_usec();
        vm->info.payload_started_monotonic_usec = clock_monotonic_usec();
        tell(vm, VM_PAYLOAD_EVENT_STARTED, 0, NULL);
}

static void set_finished(Vm *vm, const NotifyMessage *message) {
        _cleanup_(freep) char *text = NULL;

        if (message->has_error) {
                (void) text_sanitize(message->error_text, strlen(message->error_text), &text);
                tell(vm, VM_PAYLOAD_EVENT_ERROR, message->error_code, text ? text : "");
        }
        if (!move_to(vm, VM_PAYLOAD_FINISHED))
                return;
        vm->info.payload_exit_code = message->has_exit_status ? message->exit_status : 0;
        if (message->has_exit_status || !message->has_error)
                tell(vm, VM_PAYLOAD_EVENT_FINISHED, vm->info.payload_exit_code, NULL);
}

static void set_status(Vm *vm, const char *raw) {
        char *text;

        if (text_sanitize(raw, strlen(raw), &text) < 0)
                return; /* no memory: the old one stays */
        free(vm->info.payload_status);
        vm->info.payload_status = text;
}

static bool says_news(const Vm *vm, const NotifyMessage *message) {
        static const VmPayloadState states[] = {
                [NOTIFY_STAGE_STARTED] = VM_PAYLOAD_STARTED,
                [NOTIFY_STAGE_READY] = VM_PAYLOAD_READY,
                [NOTIFY_STAGE_FINISHED] = VM_PAYLOAD_FINISHED,
        };

        return states[message->stage] > vm->info.payload;
}

/**
 * vm_payload_take() - NotifyFn: what the guest says
 *
 * Return: NULL; or why the message is of no use.
 */
const char *vm_payload_take(void *userdata, const NotifyMessage *message) {
        Vm *vm = userdata;
        bool news = says_news(vm, message);

        if (vm->info.payload == VM_PAYLOAD_HANGUP)
                return "the payload hung up";
        if (!news && message->names_stage)
                return "the payload is as far or farther already";
        if (message->has_status)
                set_status(vm, message->status);
        if (news) {
                set_started(vm);
                if (message->stage == NOTIFY_STAGE_READY && move_to(vm, VM_PAYLOAD_READY))
                        tell(vm, VM_PAYLOAD_EVENT_READY, 0, NULL);
                if (message->stage == NOTIFY_STAGE_FINISHED)
                        set_finished(vm, message);
                vm_save(vm);
        }
        if (news || message->has_status)
                vm->env->changed(vm->env->userdata, vm, VM_CHANGED_STATE | VM_CHANGED_PAYLOAD);
        return NULL;
}

static int on_boot_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Vm *vm = userdata;

        vm->boot_timer = sd_event_source_disable_unref(vm->boot_timer);
        if (vm->info.suspended)
                return 0; /* its time begins anew when it goes on */
        log_line(LOG_LEVEL_WARNING, vm->info.name, "the payload did not start in time, killing it");
        (void) move_to(vm, VM_PAYLOAD_HANGUP);
        vm->kill_sent = true;
        vm_save(vm); /* before the signal, as in vm_kill() */
        vm->env->changed(vm->env->userdata, vm, VM_CHANGED_STATE);
        (void) vm_kill_process(vm);
        return 0;
}

/** vm_await_payload() - have the VM killed unless its payload starts within the boot timeout from @begin_usec */
void vm_await_payload(Vm *vm, usec_t begin_usec) {
        usec_t end;
        int r;

        vm->boot_timer = sd_event_source_disable_unref(vm->boot_timer);
        if (vm->boot_timeout_usec == 0 || vm->info.payload != VM_PAYLOAD_STARTING ||
            !ADD_CHECKED(begin_usec, vm->boot_timeout_usec, &end))
                return;
        r = sd_event_add_time(vm->env->event, &vm->boot_timer, CLOCK_MONOTONIC, end,
                              BOOT_TIMEOUT_ACCURACY_USEC, on_boot_timeout, vm);
        if (r < 0)
                log_line(LOG_LEVEL_WARNING, vm->info.name,
                         "watch the payload's start: %s, ignoring", strerror(-r));
}
