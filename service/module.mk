# service: the daemon. Everything but main.c is in libservice, so that tests link the real thing.
SERVICE_SRCS := $(filter-out service/main.c,$(wildcard service/*.c service/*/*.c))
$(eval $(call library,service,$(SERVICE_SRCS)))
ifneq ($(wildcard service/main.c),)
$(eval $(call program,vivariumd,service/main.c,service config base,libsystemd json-c))
endif
$(eval $(call install_program,vivariumd,$(libexecdir)))
