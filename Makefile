# SPDX-License-Identifier: Apache-2.0
# Vivarium's one Makefile. Every folder adds its part in module.mk; nothing recurses, and all that is built is under
# o/$(MODE)/. `make help` lists the targets.

MODE ?= rel
PREFIX ?= /usr
DESTDIR ?=
O := o/$(MODE)
VERSION := 0.1.0

ifeq ($(filter $(MODE),rel dbg asan tsan fuzz),)
$(error MODE=$(MODE) is unknown: use rel, dbg, asan, tsan or fuzz)
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CC := gcc
ifeq ($(MODE),fuzz)
CC := clang
endif
PKG_CONFIG ?= pkg-config

bindir := $(PREFIX)/bin
libexecdir := $(PREFIX)/libexec/vivarium
datadir := $(PREFIX)/share
docdir := $(datadir)/doc/vivarium
mandir := $(datadir)/man
unitdir := $(PREFIX)/lib/systemd/system
userunitdir := $(PREFIX)/lib/systemd/user

CPPFLAGS += -I. -I$(O) -D_GNU_SOURCE -DVIVARIUM_VERSION='"$(VERSION)"' -DVIVARIUM_LIBEXECDIR='"$(libexecdir)"' \
        -DVIVARIUM_BINDIR='"$(bindir)"'
CFLAGS += -std=gnu17 -g -Wall -Wextra -Werror -Wshadow -Wundef -Wvla -Wstrict-prototypes -Wmissing-prototypes \
        -Wmissing-declarations -Wold-style-definition -Wredundant-decls -Wwrite-strings -Wpointer-arith -Wcast-qual \
        -Wimplicit-fallthrough -Wswitch-enum -Wformat=2 -Wdate-time -Wno-unused-parameter \
        -Wno-missing-field-initializers -Wframe-larger-than=16384 -fno-common -fvisibility=hidden \
        -fstack-protector-strong -fstack-clash-protection -fPIE -pthread
ifeq ($(CC),gcc)
CFLAGS += -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wformat-signedness -Wjump-misses-init \
        -Wnull-dereference
endif
LDFLAGS += -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed

ifeq ($(MODE),rel)
CFLAGS += -O2 -D_FORTIFY_SOURCE=2
else ifeq ($(MODE),dbg)
CFLAGS += -Og
else ifeq ($(MODE),asan)
# gcc's flow analysis misjudges instrumented code.
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
        -Wno-null-dereference -Wno-maybe-uninitialized
LDFLAGS += -fsanitize=address,undefined
else ifeq ($(MODE),tsan)
# The fences that order virtqueues against the guest are no matter between our own threads.
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=thread -Wno-tsan -Wno-null-dereference -Wno-maybe-uninitialized
LDFLAGS += -fsanitize=thread
else ifeq ($(MODE),fuzz)
# clang alone warns of kernel structures that end in an array when another structure begins with one.
CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
        -Wno-gnu-variable-sized-type-not-at-end
LDFLAGS += -fsanitize=address,undefined
endif

# Targets that need no compiler and no library must not fail for want of them.
pkg_cflags = $(shell $(PKG_CONFIG) --cflags $(1) 2>/dev/null)
pkg_libs = $(shell $(PKG_CONFIG) --libs $(1) 2>/dev/null)

ALL_SRCS :=
PROGRAMS :=

# $(call library,NAME,SOURCES): a static library of our own, o/MODE/libNAME.a
define library
LIB_$(1) := $(O)/lib$(1).a
ALL_SRCS += $(2)
$(O)/lib$(1).a: $(patsubst %.c,$(O)/%.o,$(2))
endef

# $(call program,NAME,SOURCES,OUR LIBRARIES in link order,PKG-CONFIG NAMES,MORE LDLIBS): o/MODE/NAME
define program
PROGRAMS += $(O)/$(1)
ALL_SRCS += $(2)
$(O)/$(1): LDLIBS_OURS := $(foreach l,$(3),$(O)/lib$(l).a)
$(O)/$(1): LDLIBS := $$(call pkg_libs,$(4)) $(5)
$(O)/$(1): $(patsubst %.c,$(O)/%.o,$(2)) $(foreach l,$(3),$(O)/lib$(l).a)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $(patsubst %.c,$(O)/%.o,$(2)) $$(LDLIBS_OURS) $$(LDLIBS)
endef

# What `make install` puts where: FILE:DIRECTORY:MODE. Filled by the two functions below, in each folder's module.mk.
INSTALL :=

# $(call install,FILES,DIRECTORY,MODE=644): a file NAME.in is installed as NAME with its @variables@ filled in.
define install
INSTALL += $(foreach f,$(1),$(if $(filter %.in,$(f)),$(O)/$(f:.in=),$(f)):$(2):$(or $(3),644))
INSTALL_GENERATED += $(foreach f,$(filter %.in,$(1)),$(O)/$(f:.in=))
endef

# $(call install_program,NAMES,DIRECTORY): those of our programs that this tree builds
install_program = $(call install,$(filter $(PROGRAMS),$(addprefix $(O)/,$(1))),$(2),755)

Q := @
ifeq ($(V),1)
Q :=
endif

include base/module.mk config/module.mk vmm/module.mk crosvm_launcher/module.mk service/module.mk dbus/module.mk
include systemd/module.mk docs/module.mk tests/module.mk

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/%.o: %.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -MMD -MP -c -o $@ $<

$(O)/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

-include $(patsubst %.c,$(O)/%.d,$(sort $(ALL_SRCS)))

## all: build every program into o/$(MODE)/
.PHONY: all
all: $(PROGRAMS)

$(O)/%: %.in
	@mkdir -p $(@D)
	$(Q)sed -e 's|@bindir@|$(bindir)|g' -e 's|@libexecdir@|$(libexecdir)|g' -e 's|@datadir@|$(datadir)|g' \
	        -e 's|@docdir@|$(docdir)|g' -e 's|@VERSION@|$(VERSION)|g' $< >$@

## install: put programs, units, bus files, manual pages and documents under $(DESTDIR)$(PREFIX)
.PHONY: install
install: all $(INSTALL_GENERATED)
	@set -e; for entry in $(INSTALL); do \
	        file=$${entry%%:*} rest=$${entry#*:}; \
	        install -D -m $${rest#*:} $$file $(DESTDIR)$${rest%%:*}/$${file##*/}; \
	done

## uninstall: remove what install put there
.PHONY: uninstall
uninstall:
	@set -e; for entry in $(INSTALL); do \
	        file=$${entry%%:*} rest=$${entry#*:}; \
	        rm -f $(DESTDIR)$${rest%%:*}/$${file##*/}; \
	done
	@for directory in $(sort $(foreach e,$(INSTALL),$(word 2,$(subst :, ,$(e))))); do \
	        case $$directory in */vivarium|*/vivarium/*) rmdir -p --ignore-fail-on-non-empty \
	                $(DESTDIR)$$directory 2>/dev/null || :;; esac; \
	done

## deps: install the Debian packages that building and testing need (as root; otherwise says which are missing)
.PHONY: deps
deps:
	@tests/deps.sh

## check: everything, on a machine with nothing but Debian 12: deps, build, lint, unit, sanitizers, fuzz, integration, testbed
.PHONY: check
check:
	@tests/check.sh

## clean: remove everything that was built
.PHONY: clean
clean:
	rm -rf o

## help: this list
.PHONY: help
help:
	@echo "Vivarium $(VERSION). Targets (MODE=rel|dbg|asan|tsan|fuzz, default rel; V=1 shows commands):"
	@sed -n 's/^## \([a-z-]*\): \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | sort | column -t -s "$$(printf '\t')"
