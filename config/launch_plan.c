/* SPDX-License-Identifier: Apache-2.0 */
#include "config/launch_plan.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#include "config/json_writer.h"
#include "config/vm_config_json.h"

static const char *const hypervisor_names[] = {
        [VMM_HYPERVISOR_AUTO] = "auto",
        [VMM_HYPERVISOR_KVM] = "kvm",
        [VMM_HYPERVISOR_SOFT] = "soft",
};

/** launch_plan_init() - nothing set, no descriptor */
void launch_plan_init(LaunchPlan *plan) {
        *plan = (LaunchPlan){
                .console_out = -EBADF,
                .console_in = -EBADF,
                .log_out = -EBADF,
                .failure_out = -EBADF,
                .ramdump_out = -EBADF,
                .control = -EBADF,
                .vsock_dir = -EBADF,
                .gdb = -EBADF,
                .vhost_vsock = -EBADF,
                .vmm_stderr = -EBADF,
                .status = -EBADF,
        };
        vm_config_init(&plan->config);
}

/** launch_plan_deinit() - release memory; descriptors are borrowed and stay open */
void launch_plan_deinit(LaunchPlan *plan) {
        for (size_t i = 0; i < plan->n_files; i++)
                free(plan->files[i].name);
        free(plan->files);
        free(plan->vmm_path);
        free(plan->vm_name);
        free(plan->log_level);
        free(plan->virtiofsd_path);
        vm_config_deinit(&plan->config);
        *plan = (LaunchPlan){0};
}

/** launch_plan_add_file() - say that descriptor @fd (borrowed) is the config's file @name (copied) */
int launch_plan_add_file(LaunchPlan *plan, const char *name, int fd) {
        LaunchFile *grown;
        char *copy;

        if (plan->n_files >= LAUNCH_FILES_MAX)
                return -E2BIG;
        grown = reallocarray(plan->files, plan->n_files + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        plan->files = grown;
        copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        grown[plan->n_files++] = (LaunchFile){copy, fd};
        return 0;
}

/** launch_plan_find_file() - the descriptor of the config's file @name, or -ENOENT */
int launch_plan_find_file(const LaunchPlan *plan, const char *name) {
        for (size_t i = 0; i < plan->n_files; i++)
                if (str_eq(plan->files[i].name, name))
                        return plan->files[i].fd;
        return -ENOENT;
}

/* Writing */

static int add_fd(struct json_object *object, const char *key, int fd) {
        return fd >= 0 ? json_add_consume(object, key, json_object_new_int(fd)) : 0;
}

static int build_files(const LaunchPlan *plan, struct json_object *object) {
        struct json_object *array = json_object_new_array();
        int r;

        r = json_add_consume(object, "files", array);
        for (size_t i = 0; i < plan->n_files && r == 0; i++) {
                struct json_object *file = json_object_new_object();

                r = json_append_consume(array, file);
                if (r == 0)
                        r = json_add_string(file, "name", plan->files[i].name);
                if (r == 0)
                        r = add_fd(file, "fd", plan->files[i].fd);
        }
        return r;
}

static int build_card(const LaunchCard *card, struct json_object *array) {
        struct json_object *object = json_object_new_object(), *queues;
        char mac[MAC_TEXT_SIZE];
        int r;

        r = json_append_consume(array, object);
        if (r < 0)
                return r;
        mac_format(card->mac, mac);
        r = json_add_string(object, "type", card->type == VM_NETWORK_USER ? "user" : "bridge");
        if (r == 0)
                r = json_add_string(object, "mac", mac);
        if (r < 0)
                return r;
        queues = json_object_new_array();
        r = json_add_consume(object, "queues", queues);
        for (size_t i = 0; i < card->n_queues && r == 0; i++)
                r = json_append_consume(queues, json_object_new_int(card->queues[i]));
        return r;
}

static int build_cards(const LaunchPlan *plan, struct json_object *object) {
        struct json_object *array = json_object_new_array();
        int r;

        r = json_add_consume(object, "cards", array);
        for (size_t i = 0; i < plan->n_cards && r == 0; i++)
                r = build_card(&plan->cards[i], array);
        return r;
}

static int build_shares(const LaunchPlan *plan, struct json_object *object) {
        struct json_object *array = json_object_new_array();
        int r;

        r = json_add_consume(object, "shares", array);
        for (size_t i = 0; i < plan->n_shares && r == 0; i++) {
                struct json_object *share = json_object_new_object();

                r = json_append_consume(array, share);
                if (r == 0)
                        r = add_fd(share, "listen", plan->shares[i].listen);
                if (r == 0)
                        r = add_fd(share, "connect", plan->shares[i].connect);
        }
        return r;
}

static int build_roles(const LaunchPlan *plan, struct json_object *object) {
        const struct {
                const char *key;
                int fd;
        } roles[] = {
                {"console_out", plan->console_out},
                {"console_in", plan->console_in},
                {"log_out", plan->log_out},
                {"failure_out", plan->failure_out},
                {"ramdump_out", plan->ramdump_out},
                {"control", plan->control},
                {"gdb", plan->gdb},
                {"vsock_dir", plan->vsock_dir},
                {"vmm_stderr", plan->vmm_stderr},
                {"vhost_vsock", plan->vhost_vsock},
                {"status", plan->status},
        };

        for (size_t i = 0; i < ELEMENTSOF(roles); i++) {
                int r = add_fd(object, roles[i].key, roles[i].fd);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int build_plan(const LaunchPlan *plan, struct json_object *object) {
        _cleanup_(json_freep) struct json_object *config = NULL;
        int r;

        r = json_add_string(object, "vmm_path", plan->vmm_path);
        if (r == 0)
                r = json_add_string(object, "dialect", vmm_dialect_names[plan->dialect]);
        if (r == 0)
                r = json_add_string(object, "vm_name", plan->vm_name);
        if (r == 0)
                r = json_add_number(object, "cid", plan->cid);
        if (r == 0)
                r = json_add_string(object, "hypervisor", hypervisor_names[plan->hypervisor]);
        if (r == 0)
                r = json_add_string(object, "log_level", plan->log_level);
        if (r == 0)
                r = vm_config_build(&plan->config, &config);
        if (r == 0)
                r = json_add_consume(object, "config", TAKE(config));
        if (r == 0)
                r = build_files(plan, object);
        if (r == 0)
                r = build_cards(plan, object);
        if (r == 0)
                r = build_shares(plan, object);
        if (r == 0)
                r = json_add_string(object, "virtiofsd_path", plan->virtiofsd_path);
        return r < 0 ? r : build_roles(plan, object);
}

/**
 * launch_plan_to_json() - the text that goes into the memfd
 * @plan: complete, with a valid config
 * @ret:  owned by the caller
 *
 * Return: 0 or -ENOMEM.
 */
int launch_plan_to_json(const LaunchPlan *plan, char **ret) {
        _cleanup_(json_freep) struct json_object *object = json_object_new_object();
        const char *text;
        int r;

        if (!object)
                return -ENOMEM;
        r = build_plan(plan, object);
        if (r < 0)
                return r;
        text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                              JSON_C_TO_STRING_NOSLASHESCAPE);
        *ret = text ? strdup(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}

/* Reading */

static int read_text(const JsonValue *value, const JsonField *field, void *object,
                     TextError *reterr) {
        char **member = (char **) (void *) ((char *) object + field->offset);
        const char *text;
        int r;

        r = json_read_string(value, &text, reterr);
        if (r < 0)
                return r;
        *member = strdup(text);
        return *member ? 0 : -ENOMEM;
}

static int read_fd(const JsonValue *value, const JsonField *field, void *object,
                   TextError *reterr) {
        int64_t fd;
        int r;

        r = json_read_i64(value, 0, INT_MAX, &fd, reterr);
        if (r < 0)
                return r;
        *(int *) (void *) ((char *) object + field->offset) = (int) fd;
        return 0;
}

static int read_cid(const JsonValue *value, const JsonField *field, void *object,
                    TextError *reterr) {
        int64_t cid;
        int r;

        r = json_read_i64(value, 0, UINT32_MAX, &cid, reterr);
        if (r < 0)
                return r;
        ((LaunchPlan *) object)->cid = (uint32_t) cid;
        return 0;
}

static int read_dialect(const JsonValue *value, const JsonField *field, void *object,
                        TextError *reterr) {
        unsigned which;
        int r;

        r = json_read_choice(value, vmm_dialect_names, VMM_DIALECTS, &which, reterr);
        if (r < 0)
                return r;
        ((LaunchPlan *) object)->dialect = (VmmDialect) which;
        return 0;
}

static int read_hypervisor(const JsonValue *value, const JsonField *field, void *object,
                           TextError *reterr) {
        unsigned which;
        int r;

        r = json_read_choice(value, hypervisor_names, ELEMENTSOF(hypervisor_names), &which, reterr);
        if (r < 0)
                return r;
        ((LaunchPlan *) object)->hypervisor = (VmmHypervisor) which;
        return 0;
}

static int read_config(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        LaunchPlan *plan = object;

        vm_config_deinit(&plan->config);
        /* Its paths begin at the config, as those that the client sees. */
        return vm_config_read(&(JsonValue){value->json, ""}, &plan->config, reterr);
}

static int add_read_file(LaunchPlan *plan, const LaunchFile *file, const JsonValue *value,
                         TextError *reterr) {
        if (!file->name || file->fd < 0)
                return json_error(value, reterr, "expected name and fd");
        if (launch_plan_find_file(plan, file->name) >= 0)
                return json_error(value, reterr, "\"%s\" is given twice", file->name);
        return launch_plan_add_file(plan, file->name, file->fd);
}

static int read_file(const JsonValue *value, void *object, TextError *reterr) {
        static const JsonField fields[] = {
                {"name", read_text, offsetof(LaunchFile, name)},
                {"fd", read_fd, offsetof(LaunchFile, fd)},
        };
        LaunchFile file = {.fd = -EBADF};
        int r;

        r = json_read_object(value, fields, ELEMENTSOF(fields), &file, reterr);
        if (r == 0)
                r = add_read_file(object, &file, value, reterr);
        free(file.name);
        return r;
}

static int read_files(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        return json_read_array(value, LAUNCH_FILES_MAX, read_file, object, reterr);
}

static int read_card_type(const JsonValue *value, const JsonField *field, void *object,
                          TextError *reterr) {
        static const char *const names[] = {"bridge", "user"};
        unsigned which;
        int r = json_read_choice(value, names, ELEMENTSOF(names), &which, reterr);

        if (r < 0)
                return r;
        ((LaunchCard *) object)->type = which == 0 ? VM_NETWORK_BRIDGE : VM_NETWORK_USER;
        return 0;
}

static int read_card_mac(const JsonValue *value, const JsonField *field, void *object,
                         TextError *reterr) {
        const char *text;
        int r = json_read_string(value, &text, reterr);

        if (r < 0)
                return r;
        return mac_parse(text, ((LaunchCard *) object)->mac)
                       ? 0
                       : json_error(value, reterr, "expected an Ethernet address");
}

static int read_queue(const JsonValue *value, void *object, TextError *reterr) {
        LaunchCard *card = object;

        return read_fd(value,
                       &(JsonField){.offset = offsetof(LaunchCard, queues) +
                                              card->n_queues++ * sizeof(card->queues[0])},
                       card, reterr);
}

static int read_queues(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        return json_read_array(value, VM_NETWORK_QUEUES_MAX, read_queue, object, reterr);
}

static int read_card(const JsonValue *value, void *object, TextError *reterr) {
        static const JsonField fields[] = {
                {"type", read_card_type},
                {"mac", read_card_mac},
                {"queues", read_queues},
        };
        LaunchPlan *plan = object;

        return json_read_object(value, fields, ELEMENTSOF(fields), &plan->cards[plan->n_cards++],
                                reterr);
}

static int read_cards(const JsonValue *value, const JsonField *field, void *object,
                      TextError *reterr) {
        return json_read_array(value, VM_NETWORKS_MAX, read_card, object, reterr);
}

static int read_share(const JsonValue *value, void *object, TextError *reterr) {
        static const JsonField fields[] = {
                {"listen", read_fd, offsetof(LaunchShare, listen)},
                {"connect", read_fd, offsetof(LaunchShare, connect)},
        };
        LaunchPlan *plan = object;
        LaunchShare *share = &plan->shares[plan->n_shares++];

        *share = (LaunchShare){-EBADF, -EBADF};
        return json_read_object(value, fields, ELEMENTSOF(fields), share, reterr);
}

static int read_shares(const JsonValue *value, const JsonField *field, void *object,
                       TextError *reterr) {
        return json_read_array(value, VM_SHARES_MAX, read_share, object, reterr);
}

static const JsonField plan_fields[] = {
        {"vmm_path", read_text, offsetof(LaunchPlan, vmm_path)},
        {"dialect", read_dialect},
        {"vm_name", read_text, offsetof(LaunchPlan, vm_name)},
        {"cid", read_cid},
        {"hypervisor", read_hypervisor},
        {"log_level", read_text, offsetof(LaunchPlan, log_level)},
        {"config", read_config},
        {"files", read_files},
        {"cards", read_cards},
        {"shares", read_shares},
        {"virtiofsd_path", read_text, offsetof(LaunchPlan, virtiofsd_path)},
        {"console_out", read_fd, offsetof(LaunchPlan, console_out)},
        {"console_in", read_fd, offsetof(LaunchPlan, console_in)},
        {"log_out", read_fd, offsetof(LaunchPlan, log_out)},
        {"failure_out", read_fd, offsetof(LaunchPlan, failure_out)},
        {"ramdump_out", read_fd, offsetof(LaunchPlan, ramdump_out)},
        {"control", read_fd, offsetof(LaunchPlan, control)},
        {"vsock_dir", read_fd, offsetof(LaunchPlan, vsock_dir)},
        {"gdb", read_fd, offsetof(LaunchPlan, gdb)},
        {"vhost_vsock", read_fd, offsetof(LaunchPlan, vhost_vsock)},
        {"vmm_stderr", read_fd, offsetof(LaunchPlan, vmm_stderr)},
        {"status", read_fd, offsetof(LaunchPlan, status)},
};

typedef struct PlanCheck {
        const LaunchPlan *plan;
        TextError *reterr;
} PlanCheck;

static int check_file(void *userdata, const char *path, const char *fd_name, VmFileKind kind) {
        const PlanCheck *check = userdata;

        if (launch_plan_find_file(check->plan, fd_name) >= 0)
                return 0;
        return text_error_set(check->reterr, -EINVAL, "%s: no descriptor is named \"%s\"", path,
                              fd_name);
}

/* The config is the client's, what is beside it the service's: they must fit each other. */
static int check_parts(const LaunchPlan *plan, TextError *reterr) {
        const VmConfig *config = &plan->config;

        if (plan->n_cards != config->n_networks)
                return text_error_set(reterr, -EINVAL, "cards: expected %zu, not %zu",
                                      config->n_networks, plan->n_cards);
        for (size_t i = 0; i < plan->n_cards; i++) {
                const LaunchCard *card = &plan->cards[i];
                const bool user = card->type == VM_NETWORK_USER;

                if (card->n_queues != (user ? 0 : config->networks[i].queues) ||
                    !mac_is_of_a_card(card->mac))
                        return text_error_set(reterr, -EINVAL,
                                              "cards[%zu]: expected mac and a descriptor for each "
                                              "queue",
                                              i);
        }
        if (plan->n_shares != config->n_shares)
                return text_error_set(reterr, -EINVAL, "shares: expected %zu, not %zu",
                                      config->n_shares, plan->n_shares);
        for (size_t i = 0; i < plan->n_shares; i++) {
                const LaunchShare *share = &plan->shares[i];
                const bool served = config->shares[i].path != NULL;

                if (served != (share->listen >= 0) || served != (share->connect >= 0))
                        return text_error_set(reterr, -EINVAL,
                                              "shares[%zu]: expected sockets for a path alone", i);
                if (served && (!plan->virtiofsd_path || plan->virtiofsd_path[0] != '/'))
                        return text_error_set(reterr, -EINVAL,
                                              "virtiofsd_path: expected an absolute path");
        }
        return 0;
}

static int check_plan(const LaunchPlan *plan, TextError *reterr) {
        PlanCheck check = {plan, reterr};
        int r;

        if (!plan->vmm_path || plan->vmm_path[0] != '/')
                return text_error_set(reterr, -EINVAL, "vmm_path: expected an absolute path");
        if (!plan->vm_name || !vm_name_is_valid(plan->vm_name))
                return text_error_set(reterr, -EINVAL, "vm_name: expected a name");
        if (!plan->config.kernel && !plan->config.bootloader)
                return text_error_set(reterr, -EINVAL, "config: is missing");
        r = check_parts(plan, reterr);
        return r < 0 ? r : vm_config_each_file(&plan->config, check_file, &check);
}

/**
 * launch_plan_parse() - the text of the memfd to a plan
 * @ret: set on success only; release with launch_plan_deinit()
 *
 * Return: 0; -EINVAL or -E2BIG with a sentence in @reterr; -ENOMEM.
 */
int launch_plan_parse(const char *json, LaunchPlan *ret, TextError *reterr) {
        _cleanup_(json_freep) struct json_object *tree = NULL;
        _cleanup_(launch_plan_deinit) LaunchPlan plan;
        int r;

        launch_plan_init(&plan);
        r = json_parse(json, LAUNCH_PLAN_MAX, &tree, reterr);
        if (r == 0)
                r = json_read_object(&(JsonValue){tree, ""}, plan_fields, ELEMENTSOF(plan_fields),
                                     &plan, reterr);
        if (r == 0)
                r = check_plan(&plan, reterr);
        if (r < 0)
                return r;
        *ret = plan;
        launch_plan_init(&plan);
        return 0;
}
