# crosvm_launcher: launch plan in, exec of the VMM out.
LAUNCHER_SRCS := $(filter-out crosvm_launcher/main.c,$(wildcard crosvm_launcher/*.c))
$(eval $(call library,launcher,$(LAUNCHER_SRCS)))
ifneq ($(wildcard crosvm_launcher/main.c),)
$(eval $(call program,vivarium-launch,crosvm_launcher/main.c,launcher config base,json-c))
endif
$(eval $(call install_program,vivarium-launch,$(libexecdir)))
# It spawns the real launcher.
$(O)/tests/unit/crosvm_launcher/test_launch: $(O)/vivarium-launch
