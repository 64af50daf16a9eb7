# systemd: the units of the daemon.
$(eval $(call install,$(wildcard systemd/*.service systemd/*.service.in systemd/*.slice systemd/*.socket),$(unitdir)))
$(eval $(call install,systemd/vhost-vsock.conf systemd/memory-pressure.conf,$(datadir)/vivarium))
$(eval $(call install,$(wildcard systemd/sysusers.d/*.conf),$(PREFIX)/lib/sysusers.d))
$(eval $(call install,$(wildcard systemd/tmpfiles.d/*.conf),$(PREFIX)/lib/tmpfiles.d))
$(eval $(call install,$(wildcard systemd/*.catalog),$(PREFIX)/lib/systemd/catalog))
$(eval $(call install,$(wildcard systemd/user/*.service systemd/user/*.service.in),$(userunitdir)))
