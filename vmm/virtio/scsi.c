/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"
#include "base/le.h"
#include "vmm/virtio/scsi_internal.h"

/*
 * The SCSI controller (virtio 1.2 section 5.6): each disk is logical unit 0 of a target of its own. What a command means
 * is the disk's business (vmm/scsi/); here it is taken from its queue, addressed, and answered.
 *
 * The response lies before the data in the buffers to write, so both are kept as they came. All of this runs on the
 * device's loop; only reset and the configuration come from vCPU threads, under the device's lock.
 */

#define REQUEST_HEAD 19u  /* before the CDB */
#define RESPONSE_HEAD 12u /* before the sense data */

#define CONFIG_QUEUES 0u
#define CONFIG_SEG_MAX 4u
#define CONFIG_MAX_SECTORS 8u
#define CONFIG_CMD_PER_LUN 12u
#define CONFIG_EVENT_SIZE 16u
#define CONFIG_SENSE_SIZE 20u
#define CONFIG_CDB_SIZE 24u
#define CONFIG_MAX_CHANNEL 28u
#define CONFIG_MAX_TARGET 30u
#define CONFIG_MAX_LUN 32u

#define SENSE_SIZE_DEFAULT 96u
#define SENSE_SIZE_MAX 252u /* as long as sense data get */
#define CDB_SIZE_DEFAULT 32u
#define CDB_SIZE_MIN 6u
#define CDB_SIZE_MAX 255u

#define EVENT_LEN 16u
#define SECTOR 512u
#define SEG_MAX (VIRTQ_CHAIN_MAX - 2) /* beside request and response */
#define CONTROL_QUEUE_SIZE 64u
#define REQUEST_QUEUE_SIZE 256u

static VirtioScsi *scsi_of(VirtioDevice *dev) {
        return (VirtioScsi *) dev;
}

/** virtio_scsi_parse_lun() - whom the driver's eight bytes at @lun mean. Return: false: no target of ours. */
bool virtio_scsi_parse_lun(const VirtioScsi *scsi, const uint8_t *lun, ScsiAddress *ret) {
        static const uint8_t rest[4];
        const bool single = (lun[2] & 0xc0) == 0x40 || lun[2] == 0;

        if (lun[0] != 1 || lun[1] >= scsi->n_disks)
                return false;
        ret->target = lun[1];
        ret->lun = (lun[2] & 0x3fu) << 8 | lun[3];
        if (!single || memcmp(lun + 4, rest, sizeof(rest)) != 0)
                ret->lun = UINT32_MAX;
        return true;
}

/* ---- the end of a request ---- */

/* @len: of the response, which begins the buffers @in; @task: NULL when there was none. */
static void put_response(const struct iovec *in, unsigned n_in, uint32_t len, uint8_t response,
                         const ScsiTask *task) {
        uint8_t data[RESPONSE_HEAD + SENSE_SIZE_MAX] = {[11] = response};

        if (task && response == SCSI_S_OK) {
                le32_store(data + 4, (uint32_t) (task->data_bytes - task->moved));
                data[10] = task->status;
        }
        if (task && response == SCSI_S_OK && task->status == SCSI_CHECK_CONDITION) {
                const uint32_t sense_len = MIN(SCSI_SENSE_LEN, len - RESPONSE_HEAD);

                le32_store(data, sense_len);
                memcpy(data + RESPONSE_HEAD, task->sense, sense_len);
        }
        (void) iov_scatter(in, n_in, 0, data, len);
}

static void answer(ScsiRequest *req) {
        const ScsiTask *task = &req->task;
        VirtioScsi *scsi = req->scsi;

        put_response(req->iov, req->n_in, req->response_len,
                     task->overrun ? SCSI_S_OVERRUN : SCSI_S_OK, task);
        virtq_push(scsi->dev.queues + req->queue, req->head,
                   req->response_len + (task->to_disk ? 0 : (uint32_t) task->moved));
        scsi->answered |= UINT32_C(1) << req->queue;
}

static void take_off(ScsiRequest *req) {
        VirtioScsi *scsi = req->scsi;

        *(req->prev ? &req->prev->next : &scsi->first) = req->next;
        if (req->next)
                req->next->prev = req->prev;
        scsi->n_pending--;
}

static void stop_disks(VirtioScsi *scsi, bool stopped) {
        for (unsigned i = 0; i < scsi->n_disks; i++)
                scsi_disk_stop(scsi->disks[i], stopped);
}

static void task_ended(ScsiTask *task) {
        ScsiRequest *req = CONTAINER_OF(task, ScsiRequest, task);
        VirtioScsi *scsi = req->scsi;
        const bool forgotten = scsi->closing || scsi->resetting;

        take_off(req);
        if (!forgotten) {
                answer(req);
                virtio_scsi_request_ended(scsi, req);
        }
        free(req);
        if (scsi->closing || scsi->n_pending > 0)
                return;
        if (scsi->resetting) {
                scsi->resetting = false;
                stop_disks(scsi, false);
                virtio_device_reset_done(&scsi->dev);
        }
        virtio_device_rested(&scsi->dev);
}

/* ---- turns of the loop ---- */

/* Requests of one turn go to the host together, and those that end together are told of together. */
static void finish_turn(VirtioScsi *scsi) {
        for (unsigned i = 0; scsi->touched; i++, scsi->touched >>= 1)
                if (scsi->touched & 1)
                        scsi_disk_submit(scsi->disks[i]);
        for (unsigned i = 0; scsi->answered; i++, scsi->answered >>= 1)
                if (scsi->answered & 1)
                        virtio_device_interrupt(&scsi->dev, i);
}

static void touch(VirtioScsi *scsi, const ScsiRequest *req) {
        scsi->touched |= UINT32_C(1) << req->address.target;
}

/* From a disk, on the loop: inside a call of ours that holds the lock, or from a turn of its own. */
static void task_stepped(ScsiTask *task, int r) {
        const ScsiRequest *req = CONTAINER_OF(task, ScsiRequest, task);
        VirtioScsi *scsi = req->scsi;

        if (r < 0)
                scsi->dev.n_host_errors++;
        if (scsi->locked) {
                scsi_task_proceed(task, r);
                return;
        }
        virtio_device_lock(&scsi->dev);
        scsi->locked = true;
        touch(scsi, req);
        scsi_task_proceed(task, r);
        finish_turn(scsi);
        scsi->locked = false;
        virtio_device_unlock(&scsi->dev);
}

/* ---- the start of a request ---- */

static uint32_t response_len(const VirtioScsi *scsi) {
        return RESPONSE_HEAD + le32_load(scsi->config + CONFIG_SENSE_SIZE);
}

static void refuse(VirtioScsi *scsi, unsigned queue, const VirtqChain *chain, uint8_t response) {
        const uint32_t len = response_len(scsi);

        put_response(chain->iov + chain->n_out, chain->n_in, len, response, NULL);
        virtq_push(scsi->dev.queues + queue, chain->head, len);
        scsi->answered |= UINT32_C(1) << queue;
}

/* @head_len: of the request, before the data to write. */
static ScsiRequest *new_request(VirtioScsi *scsi, unsigned queue, const VirtqChain *chain,
                                uint64_t head_len) {
        const struct iovec *in = chain->iov + chain->n_out;
        const bool to_disk = chain->out_bytes > head_len;
        const uint64_t skip = to_disk ? head_len : response_len(scsi);
        const unsigned n_data = to_disk ? chain->n_out : chain->n_in;
        ScsiRequest *req = calloc(1, sizeof(*req) + (chain->n_in + n_data) * sizeof(struct iovec));

        if (!req)
                return NULL;
        req->scsi = scsi;
        req->queue = queue;
        req->head = chain->head;
        req->response_len = response_len(scsi);
        req->n_in = chain->n_in;
        memcpy(req->iov, in, chain->n_in * sizeof(*in));
        req->task.to_disk = to_disk;
        req->task.data = req->iov + chain->n_in;
        req->task.data_bytes = (to_disk ? chain->out_bytes : chain->in_bytes) - skip;
        req->task.n_data = iov_slice(to_disk ? chain->iov : in, n_data, skip, req->task.data_bytes,
                                     req->task.data);
        return req;
}

static void start(ScsiRequest *req) {
        VirtioScsi *scsi = req->scsi;

        req->number = scsi->next_number++;
        req->next = scsi->first;
        if (req->next)
                req->next->prev = req;
        scsi->first = req;
        scsi->n_pending++;
        touch(scsi, req);
        scsi_task_start(&req->task, scsi->disks[req->address.target]);
}

static void handle_command(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        VirtioScsi *scsi = scsi_of(dev);
        const uint64_t head_len = REQUEST_HEAD + le32_load(scsi->config + CONFIG_CDB_SIZE);
        uint8_t head[REQUEST_HEAD + CDB_SIZE_MAX];
        ScsiAddress address;
        ScsiRequest *req;

        if (chain->in_bytes < response_len(scsi) ||
            iov_gather(chain->iov, chain->n_out, 0, head, head_len) < head_len) {
                virtio_device_broken(dev, "SCSI request without room for request and response");
                return;
        }
        if (!virtio_scsi_parse_lun(scsi, head, &address)) {
                refuse(scsi, queue, chain, SCSI_S_BAD_TARGET);
                return;
        }
        if (chain->out_bytes > head_len && chain->in_bytes > response_len(scsi)) {
                refuse(scsi, queue, chain, SCSI_S_FAILURE); /* data both ways were not negotiated */
                return;
        }
        req = new_request(scsi, queue, chain, head_len);
        if (!req) {
                refuse(scsi, queue, chain, SCSI_S_BUSY);
                return;
        }
        req->address = address;
        req->id = le64_load(head + SCSI_LUN_LEN);
        req->task.lun = address.lun;
        memcpy(req->task.cdb, head + REQUEST_HEAD,
               MIN((size_t) SCSI_CDB_MAX, (size_t) (head_len - REQUEST_HEAD)));
        start(req);
}

static void scsi_notify(VirtioDevice *dev, unsigned queue) {
        VirtioScsi *scsi = scsi_of(dev);

        if (queue == SCSI_QUEUE_EVENT) {
                virtio_scsi_tell_missed(scsi);
                return;
        }
        scsi->locked = true;
        virtio_device_drain(dev, queue,
                            queue == SCSI_QUEUE_CONTROL ? virtio_scsi_control : handle_command);
        finish_turn(scsi);
        scsi->locked = false;
}

/* ---- configuration and reset ---- */

static void keep_within(uint8_t *field, uint32_t min, uint32_t max, uint32_t old) {
        const uint32_t value = le32_load(field);

        if (value < min || value > max)
                le32_store(field, old);
}

/* The driver may say how long CDBs and sense data are; what is no such length changes nothing. */
static void scsi_config_write(VirtioDevice *dev, uint64_t offset, unsigned size, uint64_t value) {
        uint8_t *config = scsi_of(dev)->config;
        const uint32_t sense_size = le32_load(config + CONFIG_SENSE_SIZE),
                       cdb_size = le32_load(config + CONFIG_CDB_SIZE);

        for (unsigned i = 0; i < size; i++, value >>= 8)
                if (offset + i >= CONFIG_SENSE_SIZE && offset + i < CONFIG_MAX_CHANNEL)
                        config[offset + i] = (uint8_t) value;
        keep_within(config + CONFIG_SENSE_SIZE, 0, SENSE_SIZE_MAX, sense_size);
        keep_within(config + CONFIG_CDB_SIZE, CDB_SIZE_MIN, CDB_SIZE_MAX, cdb_size);
}

static void reset_config(VirtioScsi *scsi) {
        le32_store(scsi->config + CONFIG_SENSE_SIZE, SENSE_SIZE_DEFAULT);
        le32_store(scsi->config + CONFIG_CDB_SIZE, CDB_SIZE_DEFAULT);
}

static int scsi_reset(VirtioDevice *dev) {
        VirtioScsi *scsi = scsi_of(dev);

        reset_config(scsi);
        virtio_scsi_forget_waits(scsi);
        scsi->missed_event = false;
        for (unsigned i = 0; i < scsi->n_disks; i++)
                scsi_disk_tell(scsi->disks[i], SCSI_POWER_ON);
        scsi->resetting = scsi->n_pending > 0;
        stop_disks(scsi, scsi->resetting);
        return scsi->resetting ? VIRTIO_E_PENDING : 0;
}

static bool scsi_busy(const VirtioDevice *dev) {
        return ((const VirtioScsi *) dev)->n_pending > 0;
}

/**
 * virtio_scsi_resize() - change a disk and tell the driver
 * @target:     of the disk
 * @size_bytes: see scsi_disk_resize(), whose errors are returned
 *
 * On the device's loop, without its lock.
 */
int virtio_scsi_resize(VirtioDevice *dev, unsigned target, uint64_t size_bytes) {
        VirtioScsi *scsi = scsi_of(dev);
        int r;

        assert(target < scsi->n_disks);

        virtio_device_lock(dev);
        r = scsi_disk_resize(scsi->disks[target], size_bytes);
        if (r >= 0)
                virtio_scsi_tell_capacity(scsi, target);
        virtio_device_unlock(dev);
        return r;
}

/* ---- life ---- */

static VirtioDevice *scsi_free(VirtioDevice *dev) {
        VirtioScsi *scsi = scsi_of(dev);

        scsi->closing = true;
        scsi->resetting = false;
        scsi->locked = true; /* no other thread is left, and the transport may be gone */
        for (unsigned i = 0; i < scsi->n_disks; i++)
                (void) scsi_disk_free(scsi->disks[i]);
        assert(scsi->n_pending == 0);
        virtio_scsi_forget_waits(scsi);
        free(scsi);
        return NULL;
}

/* At rest no command is with a disk, and so nobody waits for one. */
static void scsi_snapshot(VirtioDevice *dev, Snapshot *s) {
        VirtioScsi *scsi = scsi_of(dev);
        uint32_t sense_size = le32_load(scsi->config + CONFIG_SENSE_SIZE),
                 cdb_size = le32_load(scsi->config + CONFIG_CDB_SIZE);

        snapshot_expect(s, "the number of SCSI disks", scsi->n_disks);
        for (unsigned i = 0; i < scsi->n_disks; i++)
                scsi_disk_snapshot(scsi->disks[i], s);
        snapshot_bool(s, &scsi->missed_event);
        snapshot_u32(s, &sense_size);
        snapshot_u32(s, &cdb_size);
        if (!snapshot_restored(s))
                return;
        if (sense_size > SENSE_SIZE_MAX || cdb_size < CDB_SIZE_MIN || cdb_size > CDB_SIZE_MAX) {
                snapshot_refuse(s, "sense data of %u bytes or commands of %u are impossible",
                                sense_size, cdb_size);
                return;
        }
        le32_store(scsi->config + CONFIG_SENSE_SIZE, sense_size);
        le32_store(scsi->config + CONFIG_CDB_SIZE, cdb_size);
}

static const VirtioOps scsi_ops = {
        .name = "virtio-scsi",
        .type = VIRTIO_TYPE_SCSI,
        .notify = scsi_notify,
        .reset = scsi_reset,
        .config_write = scsi_config_write,
        .busy = scsi_busy,
        .snapshot = scsi_snapshot,
        .free = scsi_free,
};

/**
 * virtio_scsi_new() - a controller without disks; virtio_scsi_add() follows
 * @n_queues: for requests, 1 to VIRTIO_SCSI_QUEUES_MAX; one per vCPU is best
 *
 * Return: 0; -ENOMEM.
 */
int virtio_scsi_new(unsigned n_queues, VirtioDevice **ret) {
        VirtioScsi *scsi;

        assert(n_queues >= 1 && n_queues <= VIRTIO_SCSI_QUEUES_MAX);

        scsi = calloc(1, sizeof(*scsi));
        if (!scsi)
                return -ENOMEM;
        le32_store(scsi->config + CONFIG_QUEUES, n_queues);
        le32_store(scsi->config + CONFIG_SEG_MAX, SEG_MAX);
        le32_store(scsi->config + CONFIG_MAX_SECTORS, SCSI_TRANSFER_MAX / SECTOR);
        le32_store(scsi->config + CONFIG_CMD_PER_LUN, REQUEST_QUEUE_SIZE / 2);
        le32_store(scsi->config + CONFIG_EVENT_SIZE, EVENT_LEN);
        reset_config(scsi);

        scsi->dev.ops = &scsi_ops;
        scsi->dev.offered = SCSI_F_HOTPLUG | SCSI_F_CHANGE;
        scsi->dev.config = scsi->config;
        scsi->dev.config_len = sizeof(scsi->config);
        scsi->dev.n_queues = SCSI_QUEUE_REQUEST + n_queues;
        for (unsigned i = 0; i < scsi->dev.n_queues; i++)
                scsi->dev.queue_size_max[i] =
                        i < SCSI_QUEUE_REQUEST ? CONTROL_QUEUE_SIZE : REQUEST_QUEUE_SIZE;
        *ret = &scsi->dev;
        return 0;
}

/**
 * virtio_scsi_add() - give the controller one disk more, as the next target; before it is put on a bus
 * @image:      consumed on success; opened on the loop that the queues will run on
 * @block_size: logical block in bytes
 * @id:         serial number, optional; copied
 *
 * Return: 0; -ENOSPC; -EINVAL with a sentence; -ENOMEM.
 */
int virtio_scsi_add(VirtioDevice *dev, BlockDev *image, unsigned block_size, const char *id,
                    TextError *reterr) {
        VirtioScsi *scsi = scsi_of(dev);
        const ScsiDiskConfig config = {
                .handler = {.stepped = task_stepped, .ended = task_ended},
                .block_size = block_size,
                .target = scsi->n_disks,
                .id = id,
        };
        int r;

        if (scsi->n_disks == VIRTIO_SCSI_DISKS_MAX)
                return text_error_set(reterr, -ENOSPC, "a controller has at most %u disks",
                                      VIRTIO_SCSI_DISKS_MAX);
        r = scsi_disk_new(image, &config, &scsi->disks[scsi->n_disks], reterr);
        if (r < 0)
                return r;
        le16_store(scsi->config + CONFIG_MAX_TARGET, (uint16_t) scsi->n_disks);
        scsi->n_disks++;
        return 0;
}
