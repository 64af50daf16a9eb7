# tests: unit tests are one cmocka binary per test_*.c, linked with the library of the folder they mirror.

# $(call unit_test,SOURCE,OUR LIBRARIES,PKG-CONFIG NAMES)
define unit_test
UNIT_TESTS += $(O)/$(patsubst %.c,%,$(1))
ALL_SRCS += $(1)
$(O)/$(patsubst %.c,%,$(1)): $(O)/$(patsubst %.c,%.o,$(1)) $(TEST_FAKE_OBJS) $(foreach l,$(2),$(O)/lib$(l).a)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$< $(TEST_FAKE_OBJS_$(firstword $(2))) $(foreach l,$(2),$(O)/lib$(l).a) \
	        $$(call pkg_libs,cmocka $(3))
endef

# $(call only,NAMES): those that contain $(ONLY)
only = $(if $(ONLY),$(foreach n,$(1),$(if $(findstring $(ONLY),$(n)),$(n))),$(1))

UNIT_TESTS :=
TEST_FAKE_SRCS_vmm := $(wildcard tests/fake/vmm_*.c)
TEST_FAKE_SRCS_service := $(wildcard tests/fake/service_*.c)
ALL_SRCS += $(TEST_FAKE_SRCS_vmm) $(TEST_FAKE_SRCS_service)
TEST_FAKE_OBJS_vmm := $(patsubst %.c,$(O)/%.o,$(TEST_FAKE_SRCS_vmm))
TEST_FAKE_OBJS_service := $(patsubst %.c,$(O)/%.o,$(TEST_FAKE_SRCS_service))
TEST_FAKE_OBJS := $(TEST_FAKE_OBJS_vmm) $(TEST_FAKE_OBJS_service)

$(foreach t,$(wildcard tests/unit/base/test_*.c),$(eval $(call unit_test,$(t),base,)))
$(foreach t,$(wildcard tests/unit/config/test_*.c),$(eval $(call unit_test,$(t),config base,json-c)))
$(foreach t,$(wildcard tests/unit/crosvm_launcher/test_*.c),$(eval $(call unit_test,$(t),launcher config base,json-c)))
$(foreach t,$(wildcard tests/unit/dbus/test_*.c),$(eval $(call unit_test,$(t),vivctl config base,libsystemd json-c)))
$(foreach t,$(filter-out tests/unit/service/netd/%,$(wildcard tests/unit/service/test_*.c tests/unit/service/*/test_*.c)),$(eval \
        $(call unit_test,$(t),service config base,libsystemd json-c)))
$(foreach t,$(wildcard tests/unit/service/netd/test_*.c),$(eval $(call unit_test,$(t),netd service config base,$(NETD_PKGS))))
$(foreach t,$(wildcard tests/unit/vmm/test_*.c tests/unit/vmm/*/test_*.c tests/unit/vmm/*/*/test_*.c),$(eval $(call \
        unit_test,$(t),vmm config base,$(VMM_PKGS))))

## unit: build and run the unit tests (ONLY=substring for some)
.PHONY: unit
unit: $(UNIT_TESTS)
	@tests/run-unit.sh --name unit $(call only,$(UNIT_TESTS))

# Each tests/fuzz/fuzz_NAME.c is one LLVMFuzzerTestOneInput(). MODE=fuzz links it with libFuzzer; every other mode with
# tests/fuzz/main.c, which replays the corpus and a fixed series of mutations of it.
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_LIBS := launcher netd service vmm config base
FUZZ_SRCS := $(wildcard tests/fuzz/*.c)
ALL_SRCS += $(FUZZ_SRCS)
ifeq ($(MODE),fuzz)
FUZZ_MAIN :=
FUZZ_LDFLAGS := -fsanitize=fuzzer
else
FUZZ_MAIN := $(O)/tests/fuzz/main.o
FUZZ_LDFLAGS :=
endif
$(FUZZERS:%=$(O)/tests/fuzz/fuzz_%): %: %.o $(FUZZ_MAIN) $(TEST_FAKE_OBJS_vmm) $(FUZZ_LIBS:%=$(O)/lib%.a)
	$(Q)$(CC) $(LDFLAGS) $(FUZZ_LDFLAGS) -o $@ $< $(FUZZ_MAIN) $(TEST_FAKE_OBJS_vmm) $(FUZZ_LIBS:%=$(O)/lib%.a) \
	        $(call pkg_libs,cmocka $(NETD_PKGS) $(VMM_PKGS))

## fuzz-replay: run every fuzz target over its corpus and mutations of it (ONLY=substring for some)
.PHONY: fuzz-replay
fuzz-replay: $(FUZZERS:%=$(O)/tests/fuzz/fuzz_%)
	@tests/fuzz/replay.sh $(O) $(call only,$(FUZZERS))

## fuzz: search for new inputs with libFuzzer, FUZZ_SECONDS (60) for each target (ONLY=substring for some)
FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz:
	@$(MAKE) MODE=fuzz fuzz-run
.PHONY: fuzz-run
fuzz-run: $(FUZZERS:%=$(O)/tests/fuzz/fuzz_%)
	@tests/fuzz/search.sh $(O) $(FUZZ_SECONDS) $(call only,$(FUZZERS))

# Integration tests run the built programs: test_*.c are cmocka programs of their own, test_*.sh are scripts; both find the
# programs in $VIVARIUM_BUILD, guests in $VIVARIUM_GUEST.
INTEGRATION_TESTS := $(patsubst %.c,$(O)/%,$(wildcard tests/integration/test_*.c))
INTEGRATION_SRCS := $(wildcard tests/integration/*.c)
INTEGRATION_COMMON := $(filter-out tests/integration/test_%,$(INTEGRATION_SRCS))
ALL_SRCS += $(INTEGRATION_SRCS)
$(INTEGRATION_TESTS): %: %.o $(INTEGRATION_COMMON:%.c=$(O)/%.o) $(O)/libservice.a $(O)/libconfig.a $(O)/libbase.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(call pkg_libs,cmocka libsystemd json-c)

# A VMM that ends as its kernel parameters say.
FAKE_VMM := $(O)/tests/fake/fake_vmm
ALL_SRCS += tests/fake/fake_vmm.c
$(FAKE_VMM): %: %.o $(O)/libvmm.a $(O)/libconfig.a $(O)/libbase.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(call pkg_libs,json-c libseccomp)

# A process that serves a console to a VMM.
VHOST_CONSOLE := $(O)/tests/fake/vhost_console
ALL_SRCS += tests/fake/vhost_console.c
$(VHOST_CONSOLE): %: %.o
	$(Q)$(CC) $(LDFLAGS) -o $@ $<

# A library that makes calls of the daemon fail. Not fortified, for it stands in for what the fortified functions call.
FAULTS := $(O)/tests/fake/faults.so
$(FAULTS): tests/fake/faults.c tests/fake/faults.h
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-parameter -O2 -U_FORTIFY_SOURCE -fPIC -shared -I. \
	        -o $@ $<

## integration: the real daemon, launcher and VMM on a private bus (ONLY=substring for some)
.PHONY: integration
integration: all guest $(FAKE_VMM) $(VHOST_CONSOLE) $(FAULTS) $(INTEGRATION_TESTS)
	@VIVARIUM_BUILD=$(CURDIR)/$(O) VIVARIUM_GUEST=$(CURDIR)/o/guest tests/run-unit.sh --name integration $(call only,$(INTEGRATION_TESTS) \
	        $(wildcard tests/integration/test_*.sh))

## hostile-asan: the guest that abuses every device, against a VMM built with sanitizers
.PHONY: hostile-asan
hostile-asan: guest
	@$(MAKE) --no-print-directory MODE=asan o/asan/vivarium-vmm
	@VIVARIUM_SANITIZED=1 VIVARIUM_BUILD=$(CURDIR)/o/asan VIVARIUM_GUEST=$(CURDIR)/o/guest tests/run-unit.sh --name hostile-asan \
	        tests/integration/test_hostile.sh

# The compiler's view of every file, for the analysers.
LINT_FLAGS = $(filter-out -MMD -MP,$(CPPFLAGS)) -std=gnu17 -Wall -Wextra -Wno-unused-parameter \
        -Wno-missing-field-initializers

## lint: format, dependency direction, forbidden calls, headers that stand alone, clang-tidy, shellcheck
.PHONY: lint
lint:
	@tests/lint/lint.sh o/lint $(LINT_FLAGS)

# The guest that needs no kernel: see its source.
o/guest/tiny.elf: tests/guest/tiny.S
	@mkdir -p $(@D)
	$(Q)$(CC) -nostdlib -static -no-pie -Wl,--build-id=none,--no-warn-rwx-segments,-n,-Ttext-segment=0x1000000 \
	        -Wl,-z,noexecstack -o $@ $<

# The guest that abuses devices: see its source. Without vector registers, which nobody has switched on; and in pages
# whose numbers are none that lengths and indices in its memory have, should the balloon take those for pages.
HOSTILE_SRCS := $(wildcard tests/guest/hostile/*.c)
o/guest/hostile.elf: $(HOSTILE_SRCS) tests/guest/hostile/hostile.h
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu17 -Wall -Wextra -Werror -O2 -ffreestanding -fno-pic -no-pie -nostdlib -static -mno-red-zone \
	        -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
	        -Wl,--build-id=none,-Ttext-segment=0x1b37000,-z,noexecstack -I. -o $@ $(HOSTILE_SRCS)

# The same as firmware.
o/guest/hostile.rom: tests/guest/hostile/rom.S o/guest/hostile.elf
	$(Q)strip -o $@.elf o/guest/hostile.elf
	$(Q)gcc -c -DHOSTILE_ELF='"$@.elf"' -o $@.o $<
	$(Q)objcopy -O binary -j .text $@.o $@
	@rm -f $@.elf $@.o

## guest: build the stock test guest (Debian cloud kernel, busybox initramfs) and the tiny one into o/guest/
.PHONY: guest
guest: o/guest/tiny.elf o/guest/hostile.elf o/guest/hostile.rom
	@tests/guest/build.sh o/guest

## testbed: the system tests, in a Debian host with systemd and nested KVM under QEMU (ONLY=substring for some)
.PHONY: testbed
testbed: all o/guest/tiny.elf o/guest/hostile.elf $(O)/tests/unit/vmm/hv/test_debugger $(O)/tests/unit/vmm/hv/kvm/test_vcpu
	@tests/testbed/run.sh $(O) $(ONLY)

## demo: install what is missing, build, boot a stock Debian kernel through the service and show what became of it
.PHONY: demo
demo:
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory all
	@tests/guest/build.sh o/guest
	@tests/demo/demo.sh $(O) o/guest

# Measuring programs: each tests/bench/bench_*.c is one.
BENCHES := $(patsubst tests/bench/%.c,$(O)/tests/bench/%,$(wildcard tests/bench/bench_*.c))
ALL_SRCS += $(wildcard tests/bench/bench_*.c)
$(BENCHES): %: %.o $(O)/libbase.a
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(O)/libbase.a $(call pkg_libs,libsystemd)

# What runs in guests is static, and for the oldest x86-64 whatever the build machine is.
BENCH_SUITES := $(O)/tests/bench/guest/cpu_suite $(O)/tests/bench/guest/disk_suite
$(BENCH_SUITES): $(O)/%: %.c
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -march=x86-64 -static -o $@ $<

## bench: measure against the peers and write o/bench/results.jsonl (ONLY=prefix for some; needs a quiet machine)
.PHONY: bench
bench: all $(BENCHES) $(BENCH_SUITES) $(FAKE_VMM) o/guest/tiny.elf
	@tests/bench/run.sh $(O) $(ONLY)

## soak: hours of stock software on the software processor, and random instructions against the host (ONLY=substring for some)
.PHONY: soak
soak: all $(O)/tests/unit/vmm/hv/soft/test_differential $(O)/tests/unit/vmm/hv/soft/test_lengths
	@tests/soak/run.sh $(O) $(ONLY)
