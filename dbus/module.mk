# dbus: the bus contract (introspection, policy, activation) and its client.
VIVCTL_SRCS := $(filter-out dbus/client/main.c,$(wildcard dbus/client/*.c))
$(eval $(call library,vivctl,$(VIVCTL_SRCS)))
ifneq ($(wildcard dbus/client/main.c),)
$(eval $(call program,vivctl,dbus/client/main.c,vivctl config base,libsystemd json-c))
endif
