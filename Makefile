# Two commands do everything on a bare Debian or Ubuntu machine:
#   make bench SERVICES=20000
#   make test

SERVICES ?= 20000
ARGS     ?=
KERNEL   ?=
export PATH := $(CURDIR)/.build/go/bin:$(PATH):/usr/local/go/bin:/usr/sbin:/sbin

.PHONY: test-exact test-peers help setup build kernel peers guest bench quick test bench-self fuzz clean
help: ## print the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

setup: ## install what is missing (apt), or say what it is
	@.ci/setup

build: setup ## build ./viplab
	@go build -buildvcs=auto -o viplab .

kernel: ## build a kernel for the guest that has every data plane (KERNEL=7.3; default: the newest of Debian's)
	@.ci/setup kernel
	@go build -buildvcs=auto -o viplab .
	@./viplab kernel build $(KERNEL)

peers: setup ## build the real kube-proxy as a mode (3 minutes of processor time a release)
	@.ci/peers

# The guest's kernel is built at the first use (about 6 minutes on two idle cores), and
# then lies in the user's cache. What stops that is said, and the packaged one serves, unless
# another one was asked for.
guest: build
	@[ "$(KERNEL)" = debian ] || { .ci/setup kernel && ./viplab kernel build $(KERNEL); } >/dev/null || \
		{ [ -z "$(KERNEL)" ] && echo "going on with the packaged kernel, in which fewer modes can run" >&2; }

bench: guest ## measure all modes at sizes up to SERVICES (20000); further flags in ARGS
	@./viplab bench --up-to $(SERVICES) $(addprefix --kernel=,$(KERNEL)) $(ARGS)

quick: guest ## a look at all modes, in about two minutes
	@./viplab bench --quick $(addprefix --kernel=,$(KERNEL)) $(ARGS)

# A kernel that takes too long goes on being built the next time.
test: build ## run every test that this machine can run (KERNEL=debian: with the packaged guest alone)
	@[ "$(KERNEL)" = debian ] || { .ci/setup kernel && timeout --foreground -s INT 1200 ./viplab kernel build $(KERNEL); } >/dev/null || \
		{ [ -z "$(KERNEL)" ] && echo "going on with the packaged kernel, in which fewer tests can run" >&2; }
	@go vet ./...
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	@VIPLAB_KERNEL=$(KERNEL) .ci/test

test-peers: peers ## run the whole conformance suite for the real kube-proxy (half an hour)
	@go test ./modes/modetest -run TestPeers -timeout 90m -v

test-exact: build ## run trials in a virtual machine that counts instructions, twice, and hold them against each other
	@.ci/setup qemu-system-x86_64
	@./viplab kernel fetch
	@go test ./lab/cli -run TestExact -v -timeout 20m

bench-self: ## the lab beside bare tools, HAProxy, wrk, a referee in C, as ratios (an hour; BENCH=FullSync, TESTBED=uml, KERNEL=7.3)
	@.ci/setup haproxy cc wrk curl
	@mkdir -p .build; { VIPLAB_ONLY=$(TESTBED) VIPLAB_KERNEL=$(KERNEL) go test ./lab/selfbench -run NONE -bench '$(or $(BENCH),.)' -benchtime 1x -timeout 90m -v; \
		echo $$? >.build/bench-self; } | grep --line-buffered -vE "^(PASS|goos|goarch|pkg|cpu)"; exit $$(cat .build/bench-self)

fuzz: setup ## fuzz the parsers for a minute each
	@go test ./results -run '^$$' -fuzz FuzzOpen -fuzztime 1m
	@go test ./workload -run '^$$' -fuzz FuzzParseIperf -fuzztime 1m
	@go test ./modes/packet/story -run '^$$' -fuzz FuzzRead -fuzztime 1m
	@go test ./modes/snapshot/kube -run '^$$' -fuzz FuzzDecode -fuzztime 1m
	@go test ./modes/packet/dump -run '^$$' -fuzz FuzzAdd -fuzztime 1m
	@go test ./lab/play -run '^$$' -fuzz FuzzRead -fuzztime 1m

clean: ## remove what was built (runs stay)
	@rm -rf viplab .build
