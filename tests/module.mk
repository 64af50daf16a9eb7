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
$(foreach t,$(wildcard tests/unit/service/test_*.c tests/unit/service/*/test_*.c),$(eval $(call \
        unit_test,$(t),service config base,libsystemd json-c)))
$(foreach t,$(wildcard tests/unit/vmm/test_*.c tests/unit/vmm/*/test_*.c tests/unit/vmm/*/*/test_*.c),$(eval $(call \
        unit_test,$(t),vmm config base,$(VMM_PKGS))))

## unit: build and run the unit tests (ONLY=substring for some)
.PHONY: unit
unit: $(UNIT_TESTS)
	@tests/run-unit.sh $(if $(ONLY),$(foreach t,$(UNIT_TESTS),$(if $(findstring $(ONLY),$(t)),$(t))),$(UNIT_TESTS))
