# base: the lowest layer; includes nothing of ours.
$(eval $(call library,base,$(wildcard base/*.c)))
