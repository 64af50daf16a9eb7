# vmm: the virtual machine monitor. Everything but main.c is in libvmm, so that tests link the real thing.
VMM_SRCS := $(filter-out vmm/main.c,$(wildcard vmm/*.c vmm/*/*.c vmm/*/*/*.c))
$(eval $(call library,vmm,$(VMM_SRCS)))
# What runs in the guest.
VMM_GUEST_SRCS := $(wildcard vmm/*/*.S)
$(O)/libvmm.a: $(VMM_GUEST_SRCS:%.S=$(O)/%.o)
-include $(VMM_GUEST_SRCS:%.S=$(O)/%.d)
VMM_PKGS := liblzma liblz4 libzstd zlib liburing json-c libseccomp
ifneq ($(wildcard vmm/main.c),)
$(eval $(call program,vivarium-vmm,vmm/main.c,vmm config base,$(VMM_PKGS)))
endif
$(eval $(call install_program,vivarium-vmm,$(bindir)))
