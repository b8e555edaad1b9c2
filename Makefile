# `make` alone prints this list.
.DEFAULT_GOAL := help
IMGBUILD := target/release/imgbuild
# Signals have to mean what they mean: a job in the background of a shell is born ignoring SIGINT, and all that it starts.
CARGO_TEST := env --default-signal=INT,TERM,HUP cargo test --release
# What `imgbuild` leaves in DIST/NAME, unpacked in target/rootfs/NAME: $(call unpack,DIST,NAME)
define unpack
rm -rf target/rootfs/$(2)
mkdir -p target/rootfs
umoci unpack --rootless --image $(1)/$(2):$$(sed 's/.*ref\.name":"\([^"]*\)".*/\1/' $(1)/$(2)/index.json) target/rootfs/$(2)
endef
# The interpreter of an unpacked image, as its own tests and measurements find it.
interpreter = $(CURDIR)/target/rootfs/$(1)/rootfs/var/lang/bin/python3.13

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

image: build ## Build everything needed, then the image of python3.13 in dist/python3.13
	$(IMGBUILD) python3.13

test: setup-test image ## Run every test: units, the real image and functions in it, the runtime inside its interpreter
	$(CARGO_TEST) --workspace --exclude ric --no-fail-fast
	$(call unpack,dist,python3.13)
	RIC_TEST_EXECUTABLE=$(call interpreter,python3.13) $(CARGO_TEST) -p ric
	$(call unpack,target/tmp/variants,python3.13-freethreaded)
	RIC_TEST_EXECUTABLE=$(call interpreter,python3.13-freethreaded) $(CARGO_TEST) -p ric --test it -- --skip emulator --skip apm

check: setup ## Formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --release -- -D warnings

# Which one, already built: of another version, with a JIT, without the lock
IMAGE =
test-cpython: setup-test image ## Run all of CPython's own tests, 8 minutes: make test-cpython IMAGE=dist/python3.13-jit
	$(if $(IMAGE),IMGBUILD_TEST_IMAGE=$(abspath $(IMAGE))) $(CARGO_TEST) --test it -- --ignored --nocapture all_of_the_interpreters_own_tests_pass

repro: build ## Build the image as other users, by other clocks, in other folders, from empty caches: the same bytes?
	@.ci/setup build repro
	python3 tests/repro.py $(IMGBUILD) $(BUILDS)

deny: setup ## Licences, sources, double versions and known vulnerabilities of our own dependencies, and their number
	@.ci/deny

# Seconds for each fuzz target, and which: all of them
SECONDS = 60
TARGETS =
fuzz: setup-fuzz ## Throw random bytes at every parser of foreign bytes: make fuzz SECONDS=600 TARGETS="oci_tar oci_merge"
	tests/fuzz/run $(SECONDS) $(TARGETS)

scale: build setup-test ## Time and memory of images of up to a million files and 20 GB: make scale FILES=10000 MEGABYTES=200
	python3 tests/scale.py $(IMGBUILD) $(FILES) $(MEGABYTES)

test-bare: setup-test image ## Build without a sandbox in a container that allows none: the same layers
	$(CARGO_TEST) --test it -- --ignored --nocapture a_build_without_a_sandbox

crash: setup-test image ## Kill builds, pulls and pushes 200 times each (an hour)
	IMGBUILD_TEST_KILLS=200 $(CARGO_TEST) --test it -- crash::a_build crash::a_pull crash::a_push

bench: build ## Time a build with nothing to do and one with another boto3, and measure memory
	tests/bench.sh $(IMGBUILD)

bench-ric: setup-bench ## Compare the runtime with the official one: start, latency, large events, memory, system calls
	$(if $(wildcard dist/python3.13),$(call unpack,dist,python3.13))
	$(if $(wildcard dist/python3.13),RIC_TEST_EXECUTABLE=$(call interpreter,python3.13)) cargo bench -p ric --bench side_by_side

bench-python: setup-bench image ## Compare our interpreters with Debian's and with a plain build by gcc
	$(IMGBUILD) python3.13 --set python.jit=available
	$(IMGBUILD) python3.13 --set python.free_threading=enabled
	python3 tests/bench_python.py dist

bench-push: image setup-test ## Time pushes into docker-registry, ours against skopeo's
	python3 tests/bench_push.py $(IMGBUILD)

build: setup ## Compile imgbuild
	cargo build --release

setup: ## Install what a build needs on Debian or Ubuntu
	@.ci/setup build

setup-test: ## Install what the tests need, too
	@.ci/setup build test

setup-fuzz:
	@.ci/setup build fuzz

setup-bench:
	@.ci/setup build bench

clean: ## Remove what was built here; the cache in ~/.cache/imgbuild stays
	rm -rf target dist

.PHONY: help image test test-cpython check repro deny fuzz scale bench bench-ric bench-python bench-push build setup setup-test setup-bench setup-fuzz clean crash test-bare
