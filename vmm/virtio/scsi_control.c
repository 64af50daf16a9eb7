/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/iov.h"
#include "base/le.h"
#include "vmm/virtio/scsi_internal.h"

/*
 * Task management, asynchronous notifications and events of the SCSI controller (virtio 1.2 sections 5.6.6.2, 5.6.6.3).
 *
 * What an image works on cannot be called back: whoever aborts commands or resets a disk is answered when those that were
 * under way have ended in the ordinary way, and so finds none of them left.
 */

#define TYPE_TMF 0u
#define TYPE_AN_QUERY 1u
#define TYPE_AN_SUBSCRIBE 2u

#define TMF_LEN 24u
#define AN_LEN 16u
#define AN_RESPONSE_LEN 5u

enum {
        TMF_ABORT_TASK,
        TMF_ABORT_TASK_SET,
        TMF_CLEAR_ACA,
        TMF_CLEAR_TASK_SET,
        TMF_NEXUS_RESET,
        TMF_UNIT_RESET,
        TMF_QUERY_TASK,
        TMF_QUERY_TASK_SET,
};

#define EVENT_LEN 16u
#define EVENT_PARAM_CHANGE 3u
#define EVENTS_MISSED UINT32_C(0x80000000)
#define REASON_CAPACITY 0x092au /* additional sense code 0x2a, qualifier 0x09 */

/* ---- waiting ---- */

static bool covers(const ScsiWait *wait, const ScsiRequest *req) {
        return req->number < wait->before && req->address.target == wait->address.target &&
               (wait->any_lun || req->address.lun == wait->address.lun) &&
               (!wait->one || req->id == wait->id);
}

static unsigned count_covered(const VirtioScsi *scsi, const ScsiWait *wait) {
        unsigned n = 0;

        for (const ScsiRequest *req = scsi->first; req; req = req->next)
                n += covers(wait, req);
        return n;
}

static void answer(VirtioScsi *scsi, uint32_t head, uint8_t *at, uint8_t response) {
        __atomic_store_n(at, response, __ATOMIC_RELAXED);
        virtq_push(scsi->dev.queues + SCSI_QUEUE_CONTROL, head, 1);
        scsi->answered |= UINT32_C(1) << SCSI_QUEUE_CONTROL;
}

/** virtio_scsi_request_ended() - @req, off the list, is answered: who waited for it may be as well */
void virtio_scsi_request_ended(VirtioScsi *scsi, const ScsiRequest *req) {
        for (ScsiWait **at = &scsi->waits; *at;) {
                ScsiWait *wait = *at;

                if (!covers(wait, req) || --wait->n > 0) {
                        at = &wait->next;
                        continue;
                }
                *at = wait->next;
                answer(scsi, wait->head, wait->response, SCSI_S_FUNCTION_COMPLETE);
                free(wait);
        }
}

/** virtio_scsi_forget_waits() - the device is reset: nobody waits any more */
void virtio_scsi_forget_waits(VirtioScsi *scsi) {
        while (scsi->waits) {
                ScsiWait *wait = scsi->waits;

                scsi->waits = wait->next;
                free(wait);
        }
}

/* Answers at once, or when what @wait covers has ended. */
static void begin_wait(VirtioScsi *scsi, const ScsiWait *wait) {
        ScsiWait *copy;

        if (wait->n == 0) {
                answer(scsi, wait->head, wait->response, SCSI_S_FUNCTION_COMPLETE);
                return;
        }
        copy = malloc(sizeof(*copy));
        if (!copy) {
                answer(scsi, wait->head, wait->response, SCSI_S_FUNCTION_REJECTED);
                return;
        }
        *copy = *wait;
        copy->next = scsi->waits;
        scsi->waits = copy;
}

/* ---- control requests ---- */

static uint8_t *first_byte(const struct iovec *iov, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (iov[i].iov_len > 0)
                        return iov[i].iov_base;
        return NULL;
}

/* @request: TMF_LEN bytes. */
static void manage_tasks(VirtioScsi *scsi, const uint8_t *request, const VirtqChain *chain) {
        ScsiWait wait = {
                .head = chain->head,
                .response = first_byte(chain->iov + chain->n_out, chain->n_in),
                .before = scsi->next_number,
                .id = le64_load(request + 16),
        };
        const uint32_t function = le32_load(request + 4);
        ScsiDisk *disk;

        if (!virtio_scsi_parse_lun(scsi, request + 8, &wait.address)) {
                answer(scsi, wait.head, wait.response, SCSI_S_BAD_TARGET);
                return;
        }
        disk = scsi->disks[wait.address.target];
        wait.one = function == TMF_ABORT_TASK || function == TMF_QUERY_TASK;
        wait.any_lun = function == TMF_NEXUS_RESET;
        wait.n = count_covered(scsi, &wait);
        if (wait.address.lun != 0 && !wait.any_lun) {
                answer(scsi, wait.head, wait.response, SCSI_S_INCORRECT_LUN);
                return;
        }

        switch (function) {
        case TMF_NEXUS_RESET:
        case TMF_UNIT_RESET:
                scsi_disk_tell(disk,
                               function == TMF_UNIT_RESET ? SCSI_DEVICE_RESET : SCSI_NEXUS_LOSS);
                begin_wait(scsi, &wait);
                break;
        case TMF_ABORT_TASK:
        case TMF_ABORT_TASK_SET:
        case TMF_CLEAR_TASK_SET:
                begin_wait(scsi, &wait);
                break;
        case TMF_QUERY_TASK:
        case TMF_QUERY_TASK_SET:
                answer(scsi, wait.head, wait.response,
                       wait.n > 0 ? SCSI_S_FUNCTION_SUCCEEDED : SCSI_S_FUNCTION_COMPLETE);
                break;
        case TMF_CLEAR_ACA: /* there is none */
        default:
                answer(scsi, wait.head, wait.response, SCSI_S_FUNCTION_REJECTED);
                break;
        }
}

/* There are no asynchronous notifications of a disk that one could ask for. */
static void answer_notifications(VirtioScsi *scsi, const uint8_t *request,
                                 const VirtqChain *chain) {
        uint8_t response[AN_RESPONSE_LEN] = {0};
        ScsiAddress address;

        if (!virtio_scsi_parse_lun(scsi, request + 4, &address))
                response[4] = SCSI_S_BAD_TARGET;
        else if (address.lun != 0)
                response[4] = SCSI_S_INCORRECT_LUN;
        (void) iov_scatter(chain->iov + chain->n_out, chain->n_in, 0, response, sizeof(response));
        virtq_push(scsi->dev.queues + SCSI_QUEUE_CONTROL, chain->head, sizeof(response));
        scsi->answered |= UINT32_C(1) << SCSI_QUEUE_CONTROL;
}

/** virtio_scsi_control() - a request of the control queue */
void virtio_scsi_control(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        VirtioScsi *scsi = (VirtioScsi *) dev;
        uint8_t request[TMF_LEN] = {0};
        const size_t len = iov_gather(chain->iov, chain->n_out, 0, request, sizeof(request));
        const uint32_t type = le32_load(request);

        if (type == TYPE_TMF && len == TMF_LEN && chain->in_bytes > 0)
                manage_tasks(scsi, request, chain);
        else if ((type == TYPE_AN_QUERY || type == TYPE_AN_SUBSCRIBE) && len >= AN_LEN &&
                 chain->in_bytes >= AN_RESPONSE_LEN)
                answer_notifications(scsi, request, chain);
        else
                virtio_device_broken(dev, "SCSI control request of no known type, or cut short");
}

/* ---- events ---- */

/* @event is PARAM_CHANGE, or nothing but EVENTS_MISSED. Return: 0; VIRTQ_E_EMPTY without a buffer; VIRTQ_E_BROKEN. */
static int send_event(VirtioScsi *scsi, uint32_t event, unsigned target) {
        uint8_t data[EVENT_LEN] = {0};
        VirtioDevice *dev = &scsi->dev;
        VirtqChain chain;
        size_t len;
        int r;

        r = virtio_device_pop(dev, SCSI_QUEUE_EVENT, &chain);
        if (r != 0)
                return r;
        le32_store(data, event);
        if (event == EVENT_PARAM_CHANGE) {
                data[4] = 1;
                data[5] = (uint8_t) target;
                le32_store(data + 12, REASON_CAPACITY);
        }
        len = iov_scatter(chain.iov + chain.n_out, chain.n_in, 0, data, sizeof(data));
        virtq_push(dev->queues + SCSI_QUEUE_EVENT, chain.head, (uint32_t) len);
        virtio_device_interrupt(dev, SCSI_QUEUE_EVENT);
        return 0;
}

/** virtio_scsi_tell_missed() - an event was lost, and there may be buffers again */
void virtio_scsi_tell_missed(VirtioScsi *scsi) {
        VirtQueue *queue = scsi->dev.queues + SCSI_QUEUE_EVENT;
        int r;

        if (!scsi->missed_event)
                return;
        r = send_event(scsi, EVENTS_MISSED, 0);
        if (r == VIRTQ_E_EMPTY && virtq_want_notify(queue))
                r = send_event(scsi, EVENTS_MISSED, 0);
        scsi->missed_event = r == VIRTQ_E_EMPTY;
}

/** virtio_scsi_tell_capacity() - the disk at @target has another size than the driver knows */
void virtio_scsi_tell_capacity(VirtioScsi *scsi, unsigned target) {
        if (!scsi->dev.running || !virtio_device_has(&scsi->dev, SCSI_F_CHANGE) ||
            !scsi->dev.queues[SCSI_QUEUE_EVENT].enabled)
                return;
        scsi->missed_event |= send_event(scsi, EVENT_PARAM_CHANGE, target) == VIRTQ_E_EMPTY;
        virtio_scsi_tell_missed(scsi);
}
