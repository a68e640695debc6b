# Make without a target tells what there is.

BIN       ?= bin
IMAGE     ?= gnucoap
BASE      ?= docker.io/library/debian:trixie-slim
LIBCOAP   ?= 3
BENCH     ?= .
BENCHTIME ?= 1s
FUZZTIME  ?= 10s
SUITES    ?= bullseye trixie sid arm64

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# The modules that are tested in every way. bench, which has the peers that are Go
# modules, is tested once. Its peer in C needs libcoap 3.
MODULES := . contrib/redisstore
ONCE     = $(if $(findstring libcoap2,$(GOFLAGS)),,bench)

# The suites wait for timeouts of the protocols, and for each other on a busy machine.
GOTEST := go test -timeout 30m
# What a build in another way, and another round, can show something of: not the documents.
CODE   := $$(go list ./... | grep -v /docs$$)

# $(call each,MODULES,COMMAND) runs a shell command in the directories of modules.
each = @set -e; for m in $(1); do (set -x; cd $$m; $(2)); done

# Without unused parameters: Go's own runtime/cgo has some.
WARNINGS := -O2 -Wall -Wextra -Wno-unused-parameter -Werror

export FUZZTIME

# Private libraries, see pkg-config/README.md.
ifneq ($(GNUTLS_PREFIX)$(LIBCOAP_PREFIX),)
prefixes := $(abspath $(GNUTLS_PREFIX))+$(abspath $(LIBCOAP_PREFIX))
private  := $(CURDIR)/.build/private$(subst /,-,$(prefixes))
flags := $(shell pkg-config/fill.sh '$(private)' '$(GNUTLS_PREFIX)' '$(LIBCOAP_PREFIX)')
ifneq ($(.SHELLSTATUS),0)
$(error the private libraries are not there)
endif
export GOFLAGS := $(GOFLAGS) $(flags)
export GOCACHE := $(private)/gocache
export PKG_CONFIG_PATH := $(private):$(PKG_CONFIG_PATH)
else ifeq ($(shell scripts/libcoap.sh)$(filter -tags=%,$(GOFLAGS)),2)
export GOFLAGS := $(GOFLAGS) -tags=libcoap2
endif

# $(call and_tag,TAG) are the flags of go with one more build tag.
comma := ,
and_tag = $(filter-out -tags=%,$(GOFLAGS)) \
	$(or $(addsuffix $(comma)$(1),$(filter -tags=%,$(GOFLAGS))),-tags=$(1))

.PHONY: help deps deps-build demo build test noresume nointerpose race asan stress matrix cgocheck \
	vet lint bench fuzz image image-check prefix-check coverage clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what building and testing need (apt, when root)
	@scripts/deps.sh build peers

deps-build:
	@scripts/deps.sh build

demo: deps-build ## run the demonstration
	go run ./examples/demo

build: deps-build ## build everything, the commands into bin/
	go build ./...
	go build -o $(BIN)/ ./cmd/...

test: deps ## run the tests; REQUIRE_PEERS=1 fails where a peer program is missing
	$(call each,$(MODULES) $(ONCE),$(GOTEST) ./...)

noresume: deps ## run the tests of CoAP without resumption (build tag noresume)
	GOFLAGS="$(call and_tag,noresume)" $(GOTEST) ./internal/cshim/... ./coap/... ./cmd/... \
		./examples/...

nointerpose: deps ## run those of a libcoap that is left as it is (build tag nointerpose)
	GOFLAGS="$(call and_tag,nointerpose)" $(GOTEST) -run 'Replaced' ./coap

race: deps ## run the tests with the race detector
	$(call each,$(MODULES),$(GOTEST) -race $(CODE))

# A leak makes the test binary fail when it ends, after PASS.
asan: deps ## run the tests with the address sanitizer and its leak detection
	$(call each,$(MODULES),ASAN_OPTIONS=detect_leaks=1 $(GOTEST) -asan $(CODE))

stress: deps ## run the tests ten times over
	$(call each,$(MODULES),go test -count=10 -timeout 80m $(CODE))

matrix: ## make vet test on other Debian releases, the demo on arm64 (SUITES; Debian, root)
	@scripts/deps.sh build matrix
	scripts/matrix.sh $(SUITES)

cgocheck: deps ## run the tests with the full check of pointers passed to C
	$(call each,$(MODULES),GOEXPERIMENT=cgocheck2 $(GOTEST) $(CODE))

vet: deps-build ## go vet, and C warnings as errors
	CGO_CFLAGS='$(WARNINGS)' go build ./internal/cshim/...
	$(call each,$(MODULES) $(ONCE),go vet ./...)

lint: vet ## vet, gofmt, the width of lines and staticcheck
	@files=$$(find . -path ./.build -prune -o -name '*.go' -print | xargs gofmt -l) || exit; \
	[ -z "$$files" ] || { echo "gofmt -w is due:" $$files; exit 1; }
	scripts/width.sh
	$(call each,$(MODULES) $(ONCE),go run $(STATICCHECK) ./...)

bench: deps-build ## run the benchmarks (BENCH=pattern, BENCHTIME=1s)
	cd bench && go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) ./...

fuzz: deps-build ## run every fuzz target for FUZZTIME (10s; 1000x is a thousand inputs)
	scripts/fuzz.sh

# The OCI's format of images, podman's and buildah's own, has no health check.
image: ## build the image with docker, podman or buildah (BASE, LIBCOAP, see Dockerfile)
	@if docker info >/dev/null 2>&1; then tool='docker build'; \
	elif command -v podman >/dev/null; then tool='podman build --format docker'; \
	else tool='buildah build --format docker'; fi; \
	set -x; $$tool --build-arg BASE=$(BASE) --build-arg LIBCOAP=$(LIBCOAP) -t $(IMAGE) .

image-check: ## build both variants of the image without a registry, run them (Debian, root)
	@scripts/deps.sh image
	scripts/image-check.sh

prefix-check: deps ## build against GnuTLS and libcoap 2 below a prefix, and talk CoAP (Debian)
	scripts/prefix-check.sh

# The headers of the system and those in the roots of make matrix, except unstable, which changes.
coverage: ## write docs/coverage/ from the headers of libcoap and GnuTLS
	go run ./internal/coverage/write /usr/include \
		$(filter-out .build/matrix/sid/%,$(wildcard .build/matrix/*/usr/include))

clean: ## remove what make has built
	rm -rf bin .build
