# Diglot. `make help` lists the targets; docs/building.md says more about the tests.
#
# VARIANT picks the sanitizers: plain (build/diglot.so), asan and tsan (build/VARIANT/diglot.so), fuzz (clang).

VARIANT ?= plain
ifeq ($(origin CC),default)
CC := $(if $(filter fuzz,$(VARIANT)),clang,gcc)
endif

sanitize_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
sanitize_tsan := -fsanitize=thread
sanitize_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
sanitize := $(sanitize_$(VARIANT))

# gcc's sanitized variants are built for one run: this builds faster, and what it builds runs no slower. The warnings left out
# guess, differently at each level of optimization; the plain variant judges them.
quickly := -O1 -g1 -Wno-array-bounds -Wno-format-truncation -Wno-maybe-uninitialized
CFLAGS ?= $(if $(filter asan tsan,$(VARIANT)),$(quickly),-O2 -g)
flags = -std=gnu17 -Wall -Wextra -Werror $(CFLAGS) -fvisibility=hidden -fPIC -pthread -MMD -MP -Isrc $(sanitize)

libraries := -lssl -lcrypto
tool_libraries := -lhiredis -ljansson $(libraries)

# Most functions on a request's way are small and in several files: the linker puts them into one another. Objects hold both
# forms, so that everything else links as ever.
optimize_plain := $(if $(findstring gcc,$(CC)),-flto=auto -ffat-lto-objects)
optimize := $(optimize_$(VARIANT))

out := build$(filter-out /plain,/$(VARIANT))
obj := build/obj$(filter-out /plain,/$(VARIANT))
objects_of = $(patsubst %.c,$(obj)/%.o,$(1))

sources := $(sort $(shell find src -name '*.c'))
engine_sources := $(filter src/engine/% src/module.c,$(sources))
tool_sources := $(filter src/cli/%,$(sources))
fake_sources := $(sort $(wildcard tests/fake/*.c))
unit_sources := $(sort $(shell find tests/unit -name 'test_*.c' 2>/dev/null))
fuzz_sources := $(sort $(wildcard tests/fuzz/*.c))

module := $(out)/diglot.so
tool := $(out)/diglot
library := $(obj)/libdiglot.a
unit_tests := $(unit_sources:%.c=$(out)/%)
fuzz_targets := $(fuzz_sources:%.c=$(out)/%)

build_packages := gcc make libc6-dev libxxhash-dev libssl-dev libhiredis-dev libjansson-dev
run_packages := redis-server
test_packages := libsasl2-modules clang clang-tidy libclang-rt-14-dev libcmocka-dev binutils shellcheck netcat-openbsd python3-pytest python3-pytest-xdist python3-redis python3-xxhash python3-phpserialize \
	python3-pymemcache python3-pylibmc python3-memcache memcached libmemcached-tools redis-tools openssl python3-cryptography
# The client libraries and monitoring agents of Debian 12. scripts/fetch-clients gets the other libraries.
client_packages := netbase libcache-memcached-perl libmemcached-dev php-cli php-memcached python3-django ruby ruby-dalli libcache-memcached-fast-perl \
	golang-go golang-github-bradfitz-gomemcache-dev libspymemcached-java default-jdk-headless sasl2-bin \
	collectd-core munin-plugins-extra monitoring-plugins-contrib

export PYTHONDONTWRITEBYTECODE := 1
MAKEFLAGS += --no-print-directory

.PHONY: all tool help deps test-deps client-packages client-deps run unit-binaries fuzz-binaries fuzz soak bench bench-cores bench-attacks lint clean test test-%
.SECONDARY:
.DELETE_ON_ERROR:

all: $(module) $(tool) ## build build/diglot.so and build/diglot

help: ## list the targets
	@sed -n 's/^\([a-z%-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

deps: ## install what building and running need
	@scripts/install-packages $(build_packages) $(if $(ENGINE),,$(run_packages))

test-deps: deps ## install what the tests need
	@scripts/install-packages $(run_packages) $(test_packages)

client-packages: test-deps
	@scripts/install-packages $(client_packages)

client-deps: client-packages ## install or fetch every client library that the tests run
	@scripts/fetch-clients

run: ## build, then start Redis with the module in the foreground (RESP_PORT, MEMCACHED_PORT, ENGINE, ARGS)
	@scripts/run.sh

test: client-packages ## install what is missing and run every test
	@scripts/run-tests lint unit unit-asan unit-tsan fuzz protocol engine engine-valkey upstream cli clients adapters readme asan tsan

test-clients: client-deps ## every client library, also those that `make test` leaves out
	@scripts/run-tests clients-all

test-adapters: client-packages ## the adapters of clients/, that for Node among them
	@command -v npm >/dev/null || scripts/install-packages nodejs npm
	@scripts/run-tests adapters

test-%: test-deps ## one part: unit, unit-asan, unit-tsan, protocol, protocol-threads, engine, engine-valkey, engines, faults, migration, upstream, cli, readme, asan, tsan, bad-input
	@scripts/run-tests $*

lint: ## the checks of the tree itself
	@scripts/run-tests lint

fuzz: test-deps ## fuzz every target for SECONDS each (60)
	@SECONDS_EACH=$(or $(SECONDS),60) scripts/run-tests fuzz

soak: test-deps ## SECONDS (600) of mixed load under ASan while clients come, go and misbehave, then histories
	@SOAK_SECONDS=$(or $(SECONDS),600) scripts/run-tests soak

bench: ## compare with memcached, RESP and a bare server, 20 minutes (ARGS); with ROUNDS or SECONDS only README's table
	@scripts/install-packages $(build_packages) $(run_packages) memcached python3
	@$(MAKE) all $(out)/lg $(out)/bare
	@/usr/bin/python3 bench/compare/compare.py $(if $(ROUNDS)$(SECONDS),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

bench-cores: ## CPU of each thread on this machine, and what more cores would give (SECONDS each, ARGS)
	@scripts/install-packages $(build_packages) $(run_packages) memcached python3 util-linux
	@$(MAKE) all $(out)/lg $(out)/handover
	@/usr/bin/python3 bench/cores/cores.py $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

bench-attacks: ## how long other clients wait while the door is attacked (SECONDS each, ARGS)
	@scripts/install-packages $(build_packages) $(run_packages) python3 openssl util-linux
	@$(MAKE) all $(out)/bare $(out)/probe
	@/usr/bin/python3 bench/attacks.py $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

clean: ## remove build/
	rm -rf build

# What the scripts ask for.
tool: $(tool)
unit-binaries: $(unit_tests)
fuzz-binaries: $(fuzz_targets)

$(module): $(call objects_of,$(filter-out $(tool_sources),$(sources)))
	@mkdir -p $(@D)
	$(CC) -shared $(flags) $(optimize) -Wl,-z,defs,-z,relro,-z,now -o $@.new $^ $(libraries) && mv $@.new $@

$(tool): $(obj)/src/cli/main.o $(library)
	@mkdir -p $(@D)
	$(CC) $(flags) -fno-lto -Wl,-z,relro,-z,now -o $@.new $^ $(tool_libraries) && mv $@.new $@

# Everything that knows nothing of the engine.
$(library): $(call objects_of,$(filter-out $(engine_sources) src/cli/main.c,$(sources)))
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

# Counts what the program allocates.
$(out)/tests/unit/test_net_allocations: private flags += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
$(out)/tests/unit/test_net_output: private flags += -Wl,--wrap=sendmsg

# Their time passes when they say so.
$(out)/tests/unit/test_cli_key_list: private flags += -Wl,--wrap=clock_monotonic_us,--wrap=clock_sleep_us
$(out)/tests/unit/test_engine_turnover $(out)/tests/unit/test_net_connection: private flags += -Wl,--wrap=clock_monotonic_us

# Of the engine's side, what is tested without an engine: what it calls there is the test's own.
$(out)/tests/unit/test_engine_audience: $(call objects_of,$(patsubst %,src/engine/%.c,audience calm api))
$(out)/tests/unit/test_engine_budget: $(call objects_of,src/engine/budget.c)
$(out)/tests/unit/test_engine_executor: $(call objects_of,$(patsubst %,src/engine/%.c,executor look_ahead read_ahead api))
$(out)/tests/unit/test_engine_gate: $(call objects_of,$(patsubst %,src/engine/%.c,gate calm api))
$(out)/tests/unit/test_engine_keyspace: $(call objects_of,$(patsubst %,src/engine/%.c,keyspace read_ahead api))
$(out)/tests/unit/test_engine_read_ahead: $(call objects_of,src/engine/read_ahead.c src/engine/api.c)
$(out)/tests/unit/test_engine_turnover: $(call objects_of,src/engine/turnover.c src/engine/api.c)

$(unit_tests): $(out)/%: $(obj)/%.o $(call objects_of,$(fake_sources)) $(library)
	@mkdir -p $(@D)
	$(CC) $(flags) -fno-lto -o $@ $(filter %.o,$^) $(library) -lcmocka $(tool_libraries)

$(fuzz_targets): $(out)/%: $(obj)/%.o $(call objects_of,$(fake_sources)) $(library)
	@mkdir -p $(@D)
	$(CC) $(flags) -fsanitize=fuzzer -o $@ $^ $(libraries)

$(out)/lg: $(wildcard bench/lg/*.c)
$(out)/bare: bench/bare.c
$(out)/probe: bench/probe.c
$(out)/lg $(out)/bare $(out)/probe: bench/lg/lg.h Makefile
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -flto -Wall -Wextra -Werror -o $@ $(filter %.c,$^) -lm

$(out)/handover: bench/cores/handover.c Makefile
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -Wall -Wextra -Werror -pthread -o $@ $<

$(obj)/tests/%.o: flags += -Itests
$(obj)/%.o: %.c Makefile | $(obj)/.compiler
	@mkdir -p $(@D)
	$(CC) $(flags) $(optimize) -c -o $@ $<

# Says what is missing in one sentence, instead of pages of compiler errors.
$(obj)/.compiler:
	@mkdir -p $(@D)
	@command -v $(CC) >/dev/null || { echo "diglot: $(CC) is missing; 'make deps' installs it." >&2; exit 1; }
	@echo '#include <xxhash.h>' | $(CC) -E -x c - >/dev/null 2>&1 || \
		{ echo "diglot: the header xxhash.h is missing; 'make deps' installs it (Debian: libxxhash-dev)." >&2; exit 1; }
	@echo '#include <openssl/ssl.h>' | $(CC) -E -x c - >/dev/null 2>&1 || \
		{ echo "diglot: the header openssl/ssl.h is missing; 'make deps' installs it (Debian: libssl-dev)." >&2; exit 1; }
	@echo '#include <hiredis/hiredis.h>' | $(CC) -E -x c - >/dev/null 2>&1 || \
		{ echo "diglot: the header hiredis/hiredis.h is missing; 'make deps' installs it (Debian: libhiredis-dev)." >&2; exit 1; }
	@echo '#include <jansson.h>' | $(CC) -E -x c - >/dev/null 2>&1 || \
		{ echo "diglot: the header jansson.h is missing; 'make deps' installs it (Debian: libjansson-dev)." >&2; exit 1; }
	@touch $@

-include $(shell find $(obj) -name '*.d' 2>/dev/null)
