# dbus: the bus contract (introspection, policy, activation) and its client.
VIVCTL_SRCS := $(filter-out dbus/client/main.c,$(wildcard dbus/client/*.c))
$(eval $(call library,vivctl,$(VIVCTL_SRCS)))
ifneq ($(wildcard dbus/client/main.c),)
$(eval $(call program,vivctl,dbus/client/main.c,vivctl config base,libsystemd json-c))
endif
$(eval $(call install_program,vivctl,$(bindir)))
$(eval $(call install,$(wildcard dbus/*.xml),$(datadir)/dbus-1/interfaces))
$(eval $(call install,$(wildcard dbus/*.conf),$(datadir)/dbus-1/system.d))
$(eval $(call install,$(wildcard dbus/*.service dbus/*.service.in),$(datadir)/dbus-1/system-services))
$(eval $(call install,$(wildcard dbus/*.policy),$(datadir)/polkit-1/actions))
$(eval $(call install,$(wildcard dbus/*.rules),$(datadir)/polkit-1/rules.d))
$(eval $(call install,$(wildcard dbus/client/completion/vivctl),$(datadir)/bash-completion/completions))
$(eval $(call install,$(wildcard dbus/client/completion/_vivctl),$(datadir)/zsh/site-functions))
