# Perdure: `make demo` shows it, `make test` proves it. Both need Go and make;
# with root, iproute2 and nftables they use network namespaces.

GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
DEMO_ARGS ?=
SEEDS     ?= $(if $(SEED),1,1000)
SEED      ?=
TESTFLAGS ?=
BENCH_ARGS ?=
LAB       ?= qemu
TIMES     ?= 10
PACKAGES  ?= ./...

# The version comes from git describe; Go's own stamp fails where the checkout
# belongs to another user.
export GOFLAGS += -buildvcs=false
export CGO_ENABLED ?= 0

# Packages that start whole nodes and measure time, one at a time after the rest.
ALONE = /internal/lab/(netns|demo|e2e|client|fault|vm/qemu)|/cmd/

# The race detector needs cgo, and so a C compiler.
GCC := $(shell command -v gcc 2>/dev/null)
ifeq ($(GCC),)
RACE_NOTE = race detector: OFF, gcc was not found
else
RACE      = -race
RACE_NOTE = race detector: on
endif

.PHONY: all build test demo bench bench-volume lint lab lab-brief lab-campaign lab-volume sim model cover clean help

all: build

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## bin/perdure, without cgo
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/perdure ./cmd/perdure

test: ## vet and all tests: unit, scenario, simulation, namespaces when root
	$(GO) vet $(PACKAGES)
	@echo '$(RACE_NOTE)'
	CGO_ENABLED=$(if $(RACE),1,0) $(GO) run ./internal/archtest/testrun -alone '$(ALONE)' -- \
		$(RACE) -timeout=10m $(TESTFLAGS) $(PACKAGES)
	@echo '$(RACE_NOTE)'

demo: build ## three nodes here, a real server, one fault after another; DEMO_ARGS=--once ends by itself
	./bin/perdure demo $(DEMO_ARGS)

bench: build ## outages, switchover and idle cost from outside, medians of at least five (root)
	$(GO) run ./internal/lab/bench $(BENCH_ARGS)

bench-volume: build ## the data path of volumes beside qemu-nbd and nbdkit, as shares of the raw disk
	$(GO) run ./internal/lab/volumebench -perdure ./bin/perdure $(BENCH_ARGS)

lint: ## gofmt, vet for both systems, staticcheck
	@unformatted=$$(find . -name '*.go' -not -path '*/testdata/*' -exec gofmt -l {} +); \
	if [ -n "$$unformatted" ]; then echo "not formatted:"; echo "$$unformatted"; exit 1; fi
	GOOS=linux $(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	$(GO) tool staticcheck ./...

lab: ## tests that boot virtual machines (root, minutes): LAB=qemu or uml
	PERDURE_LAB_VM=$(LAB) CGO_ENABLED=0 $(GO) test -count=1 -timeout=30m -p 1 -v -run 'TestFaultsInMachines|TestControlsInMachines|TestWholeLab' \
		./internal/lab/demo ./internal/lab/keeper
	PERDURE_LAB_VM=$(LAB) CGO_ENABLED=0 $(GO) test -count=1 -timeout=15m -p 1 -v -run 'TestStorage|TestSystemd' ./internal/lab/vm
	PERDURE_LAB_VM=$(LAB) CGO_ENABLED=0 $(GO) test -count=1 -timeout=15m -p 1 ./internal/lab/vm/qemu

lab-volume: ## a volume as a disk of a machine's kernel, also on VHDX: kills, memory pressure (root, minutes)
	PERDURE_LAB_VM=qemu PERDURE_LAB_VHDX=1 CGO_ENABLED=0 $(GO) test -count=1 -timeout=30m -v -run TestKernelDisk ./internal/volume/server

lab-brief: ## what of it CI runs: some faults, the negative controls, storage (root, a quarter of an hour): LAB=qemu
	PERDURE_LAB_VM=$(LAB) CGO_ENABLED=0 $(GO) test -count=1 -timeout=15m -p 1 -v -run 'TestFaultsInMachines|TestControlsInMachines' \
		./internal/lab/demo
	PERDURE_LAB_VM=$(LAB) CGO_ENABLED=0 $(GO) test -count=1 -timeout=15m -p 1 -v -run TestStorage ./internal/lab/vm

lab-campaign: build ## all scenarios TIMES times in virtual machines (root, hours): LAB=qemu or uml
	./bin/perdure lab up --kind $(LAB) --watchdog
	./bin/perdure lab run --times $(TIMES); status=$$?; ./bin/perdure lab down; exit $$status
	./bin/perdure lab up --kind $(LAB) --witness
	./bin/perdure lab run --times $(TIMES) witness-lost witness-node-lost witness-then-node; status=$$?; ./bin/perdure lab down; exit $$status

sim: ## seeded whole-cluster simulation: SEEDS=N schedules from SEED=S on; SEED alone replays one with its story
	$(GO) run ./internal/lab/sim -seeds $(SEEDS) $(if $(SEED),-seed $(SEED))

model: ## the Promela model of leases and eviction, and its broken variants (needs spin and gcc)
	./model/check.sh

cover: ## statements that the tests reach, per package and in all
	@mkdir -p bin
	$(GO) test -coverprofile=bin/cover.out -coverpkg=./internal/... $(PACKAGES)
	$(GO) tool cover -func=bin/cover.out | tail -n 1

clean: ## what was built
	rm -rf bin
