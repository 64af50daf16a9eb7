# config: the typed contract of all programs; the only user of json-c.
$(eval $(call library,config,$(wildcard config/*.c)))
