# Sluice: `make help` lists what can be made.

MODE ?= release
CC ?= cc
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= /usr/bin/python3
VERSION := 0.1.0

OUT := $(if $(filter release,$(MODE)),build,build/$(MODE))

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wswitch-enum -Wvla -Wformat=2 $(if $(WERROR),-Werror)
CPPFLAGS += -Igateway -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"'
BASE_FLAGS := -std=c11 -g -pthread -fno-strict-aliasing $(WARNINGS)
HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection -D_FORTIFY_SOURCE=2
LINK_HARDENING := -pie -Wl,-z,relro,-z,now,-z,noexecstack
LIBS := -lssl -lcrypto -lyaml -pthread

FLAGS_release := -O2 -fPIE $(HARDENING)
FLAGS_asan    := -O1 -fPIE -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan    := -O1 -fPIE -fsanitize=thread
FLAGS_cov     := -O0 -fPIE --coverage
FLAGS_fuzz    := -O1 -fPIE -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
comma := ,
ifeq ($(MODE),fuzz)
CC := clang
endif
# What these add makes system calls of its own, which no list of ours has.
ifneq ($(MODE),release)
CPPFLAGS += -DSLUICE_NO_SANDBOX
endif
ifeq ($(FLAGS_$(MODE)),)
$(error MODE=$(MODE) is none of release, asan, tsan, cov, fuzz)
endif
CFLAGS_ALL := $(BASE_FLAGS) $(FLAGS_$(MODE)) $(CFLAGS)
LDFLAGS_ALL := $(FLAGS_$(MODE)) $(LINK_HARDENING) $(LDFLAGS)

TOOLS   := $(wildcard gateway/tools/*.c)
SOURCES := $(sort $(filter-out $(TOOLS),$(wildcard gateway/*/*.c)))
OBJECTS := $(SOURCES:%.c=$(OUT)/obj/%.o)
MAIN    := $(OUT)/obj/gateway/serve/main.o
ROOMS   := $(filter-out $(MAIN),$(OBJECTS))
UNITS   := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BINARIES := $(UNITS:tests/unit/%.c=$(OUT)/tests/%)
UNIT_HELPERS  := $(filter-out $(UNITS),$(wildcard tests/unit/*.c))
FUZZERS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
REPLAYS := $(FUZZERS:tests/fuzz/%.c=$(OUT)/tests/replay_%)
FUZZ_BINARIES := $(FUZZERS:tests/fuzz/%.c=$(OUT)/tests/%)
# What fuzzers share, and the scripted peers of the unit tests. (cmocka is for these.)
FUZZ_SHARED := $(filter-out $(FUZZERS) tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)) $(wildcard tests/unit/script*.c)
FUZZ_LINKED := $(FUZZ_SHARED:%.c=$(OUT)/obj/%.o)
OWN_C   := $(wildcard gateway/*/*.[ch] tests/*/*.[ch] contrib/*/*.[ch])

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:

##@ Build

.PHONY: all
all: $(OUT)/sluice ## the gateway: build/sluice (MODE=asan|tsan|cov|fuzz builds beside it, in build/MODE)

# V=1 shows the commands.
Q := $(if $(V),,@)

$(OUT)/sluice: $(OBJECTS)
	@echo "  link  $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(OBJECTS) $(LIBS)

$(OUT)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  cc    $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# The sandbox's lists of system calls, as the kernel takes them: made by a program that is built for the same
# machine as the gateway. Where that is not this one, EMULATOR runs it:
#   make CC=aarch64-linux-gnu-gcc EMULATOR='qemu-aarch64 -L /usr/aarch64-linux-gnu'
EMULATOR ?=
ifeq ($(MODE),release)
$(OUT)/obj/gateway/serve/sandbox_seccomp.o: $(OUT)/made/sandbox_filters.h
$(OUT)/obj/gateway/serve/sandbox_seccomp.o: CPPFLAGS += -I$(OUT)/made

$(OUT)/made/sandbox_filters: gateway/tools/sandbox_filters.c Makefile
	@mkdir -p $(@D)
	@echo "  cc    $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< -lseccomp

$(OUT)/made/sandbox_filters.h: $(OUT)/made/sandbox_filters
	$(Q)$(EMULATOR) $< > $@
endif

$(OUT)/libsluice.a: $(ROOMS)
	@rm -f $@
	$(Q)ar rcs $@ $(ROOMS)

# What tests have beside the code is not what a fuzzer is to explore.
$(OUT)/obj/tests/%.o: CPPFLAGS += -Itests/unit
$(OUT)/obj/tests/%.o: CFLAGS_ALL := $(subst $(comma)fuzzer-no-link,,$(CFLAGS_ALL))

-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)

##@ Test

.PHONY: test
test: tests-build ## everything but the browser: units, corpora, configurations, integration (the CI's test command)
	@OUT=$(OUT) PYTHON=$(PYTHON) tests/run

.PHONY: tests-build
tests-build: $(OUT)/sluice $(UNIT_BINARIES) $(REPLAYS) $(OUT)/tests/faults.so

.PHONY: unit
unit: $(UNIT_BINARIES) ## the unit tests alone
	@set -e; for t in $(UNIT_BINARIES); do $$t; done

# Not thrown away after the link, as make does with what only rules lead to.
.SECONDARY: $(UNIT_HELPERS:%.c=$(OUT)/obj/%.o) $(FUZZ_LINKED)

$(OUT)/tests/test_%: tests/unit/test_%.c $(UNIT_HELPERS:%.c=$(OUT)/obj/%.o) $(OUT)/libsluice.a Makefile
	@mkdir -p $(@D)
	@echo "  test  $<"
	$(Q)$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS_ALL) -MMD -MP -MF $(OUT)/obj/$(@F).d $(LDFLAGS_ALL) -o $@ $< \
		$(UNIT_HELPERS:%.c=$(OUT)/obj/%.o) $(OUT)/libsluice.a -lcmocka $(LIBS)

$(OUT)/tests/replay_fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(FUZZ_LINKED) $(OUT)/libsluice.a Makefile
	@mkdir -p $(@D)
	@echo "  test  $<"
	$(Q)$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< tests/fuzz/replay.c $(FUZZ_LINKED) \
		$(OUT)/libsluice.a -lcmocka $(LIBS)

# Not instrumented: it stands below the sanitizers.
SHIM := $(wildcard tests/faults/*.c)
$(OUT)/tests/faults.so: $(SHIM) tests/faults/shim.h Makefile
	@mkdir -p $(@D)
	@echo "  test  $<"
	$(Q)$(CC) $(CPPFLAGS) $(if $(filter asan tsan,$(MODE)),-DFAULTS_SPARE_MEMORY) $(BASE_FLAGS) -O1 -fPIC -shared -o $@ $(SHIM) -ldl

FAULTS_POINTS ?= 40
.PHONY: faults
faults: tests-build ## fails system calls, OpenSSL and memory in turn, FAULTS_POINTS (or all) of each function; prints a table
	OUT=$(OUT) $(PYTHON) tests/faults/run --points $(FAULTS_POINTS)

.PHONY: cov
cov: ## lines and branches of proto/, rules/ and relay/ that the tests reach (gcov)
	$(MAKE) MODE=cov CC=gcc tests-build
	find build/cov -name '*.gcda' -delete
	OUT=build/cov PYTHON=$(PYTHON) tests/run
	tests/cov build/cov

.PHONY: valgrind
valgrind: tests-build ## the same under valgrind (slow)
	@VALGRIND=1 OUT=$(OUT) PYTHON=$(PYTHON) tests/run

.PHONY: e2e
e2e: $(OUT)/sluice ## real programs: Chromium with noVNC and TigerVNC, ssh and scp, redis, PostgreSQL, mosquitto, node ws
	OUT=$(OUT) PYTHON=$(PYTHON) tests/e2e/run

.PHONY: weather
weather: $(OUT)/sluice ## slow, lossy and broken links, in network namespaces of the tests' own (as root)
	OUT=$(OUT) $(PYTHON) -m pytest -q -rs -n 4 -p no:cacheprovider tests/weather

.PHONY: abuse
abuse: $(OUT)/sluice $(OUT)/abuse/tls_flood $(OUT)/abuse/storm ## what floods, slow peers and exhaustion cost, and what a good session feels: a table
	OUT=$(OUT) $(PYTHON) tests/abuse/run --tools $(OUT)/abuse

$(OUT)/abuse/%: tests/abuse/%.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< -lssl -lcrypto

SOAK_MINUTES ?= 10
.PHONY: soak
soak: $(OUT)/sluice ## all client behaviours at once, with reloads, kills and weather, SOAK_MINUTES long
	OUT=$(OUT) $(PYTHON) tests/soak/run --minutes $(SOAK_MINUTES)

FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: ## libFuzzer on every parser, FUZZ_SECONDS each (clang)
	$(MAKE) MODE=fuzz fuzz-run FUZZ_SECONDS=$(FUZZ_SECONDS)

.PHONY: fuzz-run
fuzz-run: $(FUZZ_BINARIES)
	@OUT=$(OUT) tests/fuzz/run $(FUZZ_SECONDS)

$(OUT)/tests/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_LINKED) $(OUT)/libsluice.a Makefile
	@mkdir -p $(@D)
	@echo "  fuzz  $<"
	$(Q)$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS_ALL) -fsanitize=fuzzer $(LDFLAGS_ALL) -o $@ $< $(FUZZ_LINKED) \
		$(OUT)/libsluice.a -lcmocka $(LIBS)

BENCH := $(OUT)/bench
BENCH_FLAGS := $(CPPFLAGS) -Itests/bench $(CFLAGS_ALL) $(LDFLAGS_ALL)
BENCH_SHARED := tests/bench/counters.c tests/bench/pattern.c
.PHONY: bench
bench: $(OUT)/sluice $(BENCH)/load $(BENCH)/backend $(BENCH)/floor ## what it costs beside HAProxy and others, by CPU seconds (as root)
	$(PYTHON) tests/bench/run --out $(BENCH) --sluice $(OUT)/sluice --chart contrib/bench.svg

$(BENCH)/floor: tests/bench/floor.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(BENCH_FLAGS) -o $@ $<

$(BENCH)/backend: tests/bench/backend.c $(BENCH_SHARED) $(wildcard tests/bench/*.h) Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(BENCH_FLAGS) -o $@ $< $(BENCH_SHARED)

$(BENCH)/load: $(filter-out %/backend.c %/floor.c,$(wildcard tests/bench/*.c)) $(wildcard tests/bench/*.h) Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(BENCH_FLAGS) -o $@ $(filter %.c,$^) $(LIBS)

##@ Run

.PHONY: demo
demo: $(OUT)/sluice $(OUT)/demo-target certs ## a page, a target and the gateway on ws and wss: prints one URL
	@OUT=$(OUT) exec contrib/demo/run

$(OUT)/demo-target: contrib/demo/target.c Makefile
	@mkdir -p $(@D)
	@echo "  cc    $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $<

.PHONY: certs
certs: certs/dev/server.crt ## a development CA and server certificates in certs/dev (never committed)

certs/dev/server.crt: certs/make
	certs/make certs/dev

.PHONY: install
install: $(OUT)/sluice ## into $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/sluice $(DESTDIR)$(PREFIX)/share/man/man1 \
		$(DESTDIR)$(PREFIX)/share/man/man5
	install -m 755 $(OUT)/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	install -m 644 config/*.yaml config/sluice.schema.json $(DESTDIR)$(PREFIX)/share/sluice/
	install -m 644 contrib/man/sluice.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 contrib/man/sluice.yaml.5 $(DESTDIR)$(PREFIX)/share/man/man5/

##@ Keep

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
APT_INSTALL := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends
.PHONY: deps
deps: ## installs what building, running and testing need (Debian and its kin)
	$(SUDO) apt-get update -q
	$(APT_INSTALL) gcc make libc6-dev libssl-dev libyaml-dev libseccomp-dev libcmocka-dev openssl python3 \
		python3-pytest python3-pytest-xdist python3-yaml python3-jsonschema iproute2

.PHONY: deps-ci
deps-ci: deps ## and what CI adds: the second compiler, sanitizers, linters, valgrind, programs that contrib/ has files for
	$(APT_INSTALL) clang libclang-rt-dev clang-format clang-tidy cppcheck valgrind \
		systemd logrotate haproxy nginx-light prometheus

.PHONY: deps-e2e
deps-e2e: deps ## and what make e2e needs: a browser, noVNC, a VNC server, sshd, databases, other people's clients
	$(APT_INSTALL) chromium novnc tigervnc-standalone-server xterm fonts-dejavu-core openssh-server openssh-client \
		python3-websockets node-ws nodejs redis-server redis-tools postgresql postgresql-client \
		mosquitto mosquitto-clients haproxy nginx-light

.PHONY: bench-deps
bench-deps: deps ## and the peers that make bench measures beside it
	$(APT_INSTALL) haproxy nginx-light libnginx-mod-stream hitch websockify iproute2

.PHONY: format
format: ## clang-format over the C
	clang-format -i $(OWN_C)

.PHONY: format-check
format-check: ## fails where format would change something
	clang-format --dry-run --Werror $(OWN_C)

.PHONY: lint
lint: ## cppcheck, and a build with clang, warnings as errors
	cppcheck --quiet --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
		--std=c11 -D_GNU_SOURCE -Igateway --suppress=missingIncludeSystem gateway
	$(MAKE) OUT=build/clang CC=clang WERROR=1 build/clang/sluice

.PHONY: clean
clean: ## removes build/
	rm -rf build

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*##" } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*##/ { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
