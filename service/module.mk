# service: the daemons. Everything but their main.c is in libraries, so that tests link the real thing.
SERVICE_SRCS := $(filter-out service/main.c service/netd/%,$(wildcard service/*.c service/*/*.c))
$(eval $(call library,service,$(SERVICE_SRCS)))
ifneq ($(wildcard service/main.c),)
$(eval $(call program,vivariumd,service/main.c,service config base,libsystemd json-c))
endif
$(eval $(call install_program,vivariumd,$(libexecdir)))

# The network service, which alone speaks to the kernel's networks. The names that it makes are service/net's.
NETD_PKGS := libsystemd json-c libnl-3.0 libnl-route-3.0
CPPFLAGS += $(patsubst -I%,-isystem%,$(call pkg_cflags,libnl-3.0))
$(eval $(call library,netd,$(filter-out service/netd/main.c,$(wildcard service/netd/*.c))))
$(eval $(call program,vivarium-netd,service/netd/main.c,netd service config base,$(NETD_PKGS)))
$(eval $(call install_program,vivarium-netd,$(libexecdir)))
