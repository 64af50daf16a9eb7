/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/netd/addresses.h"
#include "service/netd/networks.h"

#define ID "0123456789abcdef0123456789abcdef"
#define LINKS_MAX 16u

/* A kernel in a table, which can be told to stop doing as it is asked: as if the caller had been killed there. */
typedef struct FakeLink {
        LinkInfo info; /* ifindex 0: none */
        bool up, isolated;
        IpAddress addresses[4];
        size_t n_addresses;
} FakeLink;

typedef struct Fake {
        FakeLink links[LINKS_MAX];
        uint32_t last;
        unsigned steps;   /* changes so far */
        unsigned stop_at; /* the change that fails, with all after it; 0: none */
        char *dir;        /* of systemd-networkd */
        Networks *networks;
} Fake;

static int step(Fake *fake) {
        fake->steps++;
        return fake->stop_at != 0 && fake->steps >= fake->stop_at ? -EIO : 0;
}

static FakeLink *by_index(Fake *fake, uint32_t ifindex) {
        for (size_t i = 0; i < LINKS_MAX; i++)
                if (ifindex != 0 && fake->links[i].info.ifindex == ifindex)
                        return &fake->links[i];
        return NULL;
}

static FakeLink *by_name(Fake *fake, const char *name) {
        for (size_t i = 0; i < LINKS_MAX; i++)
                if (fake->links[i].info.ifindex != 0 && str_eq(fake->links[i].info.name, name))
                        return &fake->links[i];
        return NULL;
}

/* What must be there. */
static FakeLink *known(FakeLink *link) {
        assert_non_null(link);
        if (!link)
                abort(); /* for the compiler's sake */
        return link;
}

static FakeLink *add_link(Fake *fake, const char *name, const char *kind) {
        for (size_t i = 0; i < LINKS_MAX; i++) {
                FakeLink *link = &fake->links[i];

                if (link->info.ifindex != 0)
                        continue;
                *link = (FakeLink){.info = {.ifindex = ++fake->last}};
                (void) snprintf(link->info.name, sizeof(link->info.name), "%s", name);
                (void) snprintf(link->info.kind, sizeof(link->info.kind), "%s", kind);
                return link;
        }
        return NULL;
}

static int fake_find(void *self, const char *name, LinkInfo *ret) {
        FakeLink *link = by_name(self, name);

        if (!link)
                return -ENODEV;
        *ret = link->info;
        return 0;
}

static int fake_each_link(void *self, LinkFn fn, void *userdata) {
        Fake *fake = self;
        int r = 0;

        for (size_t i = 0; i < LINKS_MAX && r == 0; i++)
                if (fake->links[i].info.ifindex != 0)
                        r = fn(userdata, &fake->links[i].info);
        return r;
}

static int fake_each_address(void *self, AddressFn fn, void *userdata) {
        Fake *fake = self;

        for (size_t i = 0; i < LINKS_MAX; i++)
                for (size_t j = 0; j < fake->links[i].n_addresses; j++)
                        if (fn(userdata, fake->links[i].info.ifindex,
                               &fake->links[i].addresses[j]) != 0)
                                return -EIO;
        return 0;
}

static int fake_add_bridge(void *self, const char *name, const uint8_t mac[static MAC_LEN]) {
        assert_true(mac_is_of_a_card(mac));
        if (step(self) < 0)
                return -EIO;
        return by_name(self, name) ? -EEXIST : add_link(self, name, "bridge") ? 0 : -ENOMEM;
}

static int fake_set_alias(void *self, uint32_t ifindex, const char *alias) {
        FakeLink *link = known(by_index(self, ifindex));

        if (step(self) < 0)
                return -EIO;
        (void) snprintf(link->info.alias, sizeof(link->info.alias), "%s", alias);
        return 0;
}

static int fake_set_up(void *self, uint32_t ifindex) {
        if (step(self) < 0)
                return -EIO;
        known(by_index(self, ifindex))->up = true;
        return 0;
}

static int fake_join(void *self, uint32_t ifindex, uint32_t master, bool isolated) {
        if (step(self) < 0)
                return -EIO;
        known(by_index(self, ifindex))->info.master = master;
        known(by_index(self, ifindex))->isolated = isolated;
        return 0;
}

static int fake_add_address(void *self, uint32_t ifindex, const IpAddress *address) {
        FakeLink *link = known(by_index(self, ifindex));

        if (step(self) < 0)
                return -EIO;
        for (size_t i = 0; i < link->n_addresses; i++)
                if (link->addresses[i].prefix_len == address->prefix_len &&
                    ip_overlaps(&link->addresses[i], address))
                        return 0;
        assert_true(link->n_addresses < ELEMENTSOF(link->addresses));
        link->addresses[link->n_addresses++] = *address;
        return 0;
}

static int fake_delete_link(void *self, uint32_t ifindex) {
        FakeLink *link = by_index(self, ifindex);

        if (!link)
                return -ENODEV;
        *link = (FakeLink){0};
        return 0;
}

static int fake_open_tap(void *self, const char *name, unsigned n, int *fds,
                         char ret_name[static NET_INTERFACE_MAX + 1]) {
        const char *given = str_eq(name, "vmtap%d") ? "vmtap0" : name;

        if (step(self) < 0)
                return -EIO;
        if (by_name(self, given))
                return -EBUSY;
        if (!add_link(self, given, "tun"))
                return -ENOMEM;
        for (unsigned i = 0; i < n; i++)
                fds[i] = dup(STDERR_FILENO);
        (void) snprintf(ret_name, NET_INTERFACE_MAX + 1, "%s", given);
        return 0;
}

static const KernelOps fake_ops = {
        .find_link = fake_find,
        .each_link = fake_each_link,
        .each_address = fake_each_address,
        .add_bridge = fake_add_bridge,
        .set_alias = fake_set_alias,
        .set_up = fake_set_up,
        .join = fake_join,
        .add_address = fake_add_address,
        .delete_link = fake_delete_link,
        .open_tap = fake_open_tap,
};

static int setup(void **state) {
        static const char conf[] = "[Network default]\nIPv6=fd01::1/64\n"
                                   "[Network lab]\nIPv4=10.1.0.1/16\nIPv6=none\nDHCP=no\n";
        char template[] = "/tmp/vivarium-networks-XXXXXX";
        Fake *fake = calloc(1, sizeof(*fake));
        Settings settings;

        if (!fake || !mkdtemp(template) ||
            settings_parse(conf, sizeof(conf) - 1, &settings, NULL) < 0)
                return -1;
        fake->dir = strdup(template);
        *state = fake;
        return networks_new(&(Kernel){&fake_ops, fake}, &settings, template, &fake->networks);
}

static int teardown(void **state) {
        Fake *fake = *state;
        unsigned left;
        int r;

        /* The files go with the bridges. */
        for (size_t i = 0; i < LINKS_MAX; i++)
                fake->links[i].info.master = 0;
        (void) networks_sweep(fake->networks, &left);
        r = rmdir(fake->dir);
        (void) networks_free(fake->networks);
        free(fake->dir);
        free(fake);
        return r;
}

static NetRequest request_of(const char *network, unsigned queues) {
        NetRequest request = {.kind = NET_REQUEST_TAP,
                              .vm_id = ID,
                              .vm_name = "web",
                              .cid = 2048,
                              .queues = queues};

        (void) snprintf(request.network, sizeof(request.network), "%s", network);
        return request;
}

static int add_tap(Fake *fake, const char *network, Tap *ret) {
        const NetRequest request = request_of(network, 1);

        return networks_add_tap(fake->networks, &request, ret, NULL);
}

/* What the kernel does when the last descriptor goes. */
static void tap_dies(Fake *fake, Tap *tap) {
        tap_close(tap);
        (void) fake_delete_link(fake, tap->ifindex);
}

static void test_the_first_vm_brings_the_bridge(void **state) {
        Fake *fake = *state;
        const NetRequest request = request_of("lab", 3);
        const FakeLink *bridge, *link;
        Tap tap;

        assert_int_equal(networks_add_tap(fake->networks, &request, &tap, NULL), 0);
        bridge = by_name(fake, "viv-lab");
        link = by_name(fake, "vm2048-0");
        assert_non_null(bridge);
        assert_non_null(link);
        assert_true(bridge->up && link->up);
        assert_int_equal(bridge->n_addresses, 1);
        assert_string_equal(bridge->info.alias, "vivarium network lab");
        assert_string_equal(link->info.alias, "vivarium vm " ID " web");
        assert_int_equal(link->info.master, bridge->info.ifindex);
        assert_int_equal(tap.n_fds, 3);
        assert_int_equal(tap.ifindex, link->info.ifindex);
        tap_dies(fake, &tap);
}

static void test_an_empty_bridge_is_swept_and_a_used_one_stays(void **state) {
        Fake *fake = *state;
        unsigned left;
        Tap tap;

        assert_int_equal(add_tap(fake, "lab", &tap), 0);
        assert_int_equal(networks_sweep(fake->networks, &left), 0);
        assert_int_equal(left, 1);
        assert_non_null(by_name(fake, "viv-lab"));
        tap_dies(fake, &tap);
        assert_int_equal(networks_sweep(fake->networks, &left), 0);
        assert_int_equal(left, 0);
        assert_null(by_name(fake, "viv-lab"));
}

/* Killed at any step, what remains is an empty bridge at most, and the next one finishes it. */
static void test_whoever_comes_next_finishes_what_was_begun(void **state) {
        Fake *fake = *state;
        unsigned n, left;
        Tap tap;

        assert_int_equal(add_tap(fake, "default", &tap), 0);
        tap_dies(fake, &tap);
        n = fake->steps;
        assert_int_equal(networks_sweep(fake->networks, &left), 0);
        for (unsigned i = 1; i <= n; i++) {
                FakeLink *lost;

                fake->steps = 0;
                fake->stop_at = i;
                assert_int_not_equal(add_tap(fake, "default", &tap), 0);
                fake->stop_at = 0;
                lost = by_name(fake, "vm2048-0");
                if (lost)
                        *lost = (FakeLink){0}; /* its descriptors are closed */
                assert_int_equal(add_tap(fake, "default", &tap), 0);
                assert_int_equal(known(by_name(fake, "viv-default"))->n_addresses, 2);
                assert_true(known(by_name(fake, "viv-default"))->up);
                tap_dies(fake, &tap);
                assert_int_equal(networks_sweep(fake->networks, &left), 0);
                for (size_t j = 0; j < LINKS_MAX; j++)
                        assert_int_equal(fake->links[j].info.ifindex, 0);
        }
}

static void test_a_chosen_address_stays_with_its_bridge(void **state) {
        Fake *fake = *state;
        IpAddress before;
        Tap a, b;

        assert_int_equal(add_tap(fake, "default", &a), 0);
        before = known(by_name(fake, "viv-default"))->addresses[0];
        fake->links[0].info.master = 0;
        assert_int_equal(add_tap(fake, "default", &b), 0);
        assert_int_equal(known(by_name(fake, "viv-default"))->n_addresses, 2);
        assert_memory_equal(&known(by_name(fake, "viv-default"))->addresses[0], &before,
                            sizeof(before));
        tap_dies(fake, &b);
        tap_dies(fake, &a);
}

static void test_a_chosen_address_is_none_of_the_hosts(void **state) {
        Fake *fake = *state;
        FakeLink *eth = known(add_link(fake, "eth0", ""));
        IpAddress chosen;
        Tap tap;

        assert_int_equal(add_tap(fake, "default", &tap), 0);
        chosen = known(by_name(fake, "viv-default"))->addresses[0];
        tap_dies(fake, &tap);
        *known(by_name(fake, "viv-default")) = (FakeLink){0};
        eth->addresses[eth->n_addresses++] = chosen;
        assert_int_equal(add_tap(fake, "default", &tap), 0);
        assert_false(ip_overlaps(&known(by_name(fake, "viv-default"))->addresses[0], &chosen));
        tap_dies(fake, &tap);
}

static void test_interfaces_of_others_are_left_alone(void **state) {
        static const struct {
                const char *kind, *alias;
        } others[] = {{"dummy", ""}, {"bridge", "mine"}, {"bridge", "vivarium network other"}};
        Fake *fake = *state;
        unsigned left;

        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                FakeLink *link = known(add_link(fake, "viv-lab", others[i].kind));
                _cleanup_(text_error_deinit) TextError error = {0};
                const NetRequest request = request_of("lab", 1);
                Tap tap;

                (void) snprintf(link->info.alias, sizeof(link->info.alias), "%s", others[i].alias);
                assert_int_equal(networks_add_tap(fake->networks, &request, &tap, &error), -EEXIST);
                assert_string_equal(error.message,
                                    "interface viv-lab is there and is not this service's");
                assert_int_equal(networks_sweep(fake->networks, &left), 0);
                assert_non_null(by_name(fake, "viv-lab"));
                *link = (FakeLink){0};
        }
}

static void test_a_name_that_is_taken_is_no_obstacle(void **state) {
        Fake *fake = *state;
        FakeLink *other = known(add_link(fake, "vm2048-0", "tun"));
        Tap tap;

        assert_int_equal(add_tap(fake, "lab", &tap), 0);
        assert_string_equal(tap.interface, "vmtap0");
        assert_int_equal(other->info.master, 0);
        tap_dies(fake, &tap);
        *other = (FakeLink){0};
}

static void test_a_release_takes_the_vms_interfaces_alone(void **state) {
        Fake *fake = *state;
        FakeLink *other = known(add_link(fake, "vm9-0", "tun")),
                 *no_tap = known(add_link(fake, "eth9", "dummy"));
        Tap tap;

        (void) snprintf(other->info.alias, sizeof(other->info.alias),
                        "vivarium vm ffffffffffffffffffffffffffffffff web");
        (void) snprintf(no_tap->info.alias, sizeof(no_tap->info.alias), "vivarium vm " ID " web");
        assert_int_equal(add_tap(fake, "lab", &tap), 0);
        assert_int_equal(networks_release(fake->networks, ID, NULL), 0);
        assert_null(by_name(fake, "vm2048-0"));
        assert_non_null(by_name(fake, "vm9-0"));
        assert_non_null(by_name(fake, "eth9"));
        tap_close(&tap);
}

static void test_networkd_is_told_once_for_each_change(void **state) {
        Fake *fake = *state;
        unsigned left;
        Tap a, b;

        assert_int_equal(add_tap(fake, "default", &a), 0);
        assert_true(networks_take_reload(fake->networks));
        assert_false(networks_take_reload(fake->networks));
        tap_dies(fake, &a);
        assert_int_equal(add_tap(fake, "default", &b), 0);
        assert_false(networks_take_reload(fake->networks));
        tap_dies(fake, &b);
        assert_int_equal(networks_sweep(fake->networks, &left), 0);
        assert_true(networks_take_reload(fake->networks));
}

static void test_an_unknown_network_is_named(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};
        const NetRequest request = request_of("nowhere", 1);
        Fake *fake = *state;
        Tap tap;

        assert_int_equal(networks_add_tap(fake->networks, &request, &tap, &error), -ENOENT);
        assert_string_equal(error.message, "there is no network \"nowhere\"");
        assert_int_equal(fake->steps, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_first_vm_brings_the_bridge),
                TEST(test_an_empty_bridge_is_swept_and_a_used_one_stays),
                TEST(test_whoever_comes_next_finishes_what_was_begun),
                TEST(test_a_chosen_address_stays_with_its_bridge),
                TEST(test_a_chosen_address_is_none_of_the_hosts),
                TEST(test_interfaces_of_others_are_left_alone),
                TEST(test_a_name_that_is_taken_is_no_obstacle),
                TEST(test_a_release_takes_the_vms_interfaces_alone),
                TEST(test_networkd_is_told_once_for_each_change),
                TEST(test_an_unknown_network_is_named),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
