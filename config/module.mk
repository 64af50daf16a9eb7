# config: the typed contract of all programs; the only user of json-c.
$(eval $(call library,config,$(wildcard config/*.c)))
$(eval $(call install,$(wildcard config/schema/*.json),$(datadir)/vivarium/schema))
$(eval $(call install,$(wildcard config/examples/*.json),$(datadir)/vivarium/examples))
