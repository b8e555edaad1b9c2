# `make` alone prints this list.
.DEFAULT_GOAL := help
IMGBUILD := target/release/imgbuild
# The image's interpreter, as its own tests and measurements find it.
UNPACKED := $(CURDIR)/target/rootfs/rootfs/var/lang/bin/python3.13
define UNPACK
rm -rf target/rootfs
umoci unpack --rootless --image dist/python3.13:$$(sed 's/.*ref\.name":"\([^"]*\)".*/\1/' dist/python3.13/index.json) target/rootfs
endef

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

image: build ## Build everything needed, then the image of python3.13 in dist/python3.13
	$(IMGBUILD) python3.13

test: setup-test image ## Run every test: units, the real image and functions in it, the runtime inside its interpreter
	cargo test --release --workspace --exclude ric --no-fail-fast
	$(UNPACK)
	RIC_TEST_EXECUTABLE=$(UNPACKED) cargo test --release -p ric

check: setup ## Formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --release -- -D warnings

bench: build ## Time a build with nothing to do and one with another boto3, and measure memory
	tests/bench.sh $(IMGBUILD)

bench-ric: setup-bench ## Compare the runtime with the official one: start, latency, large events, memory, system calls
	$(if $(wildcard dist/python3.13),$(UNPACK))
	$(if $(wildcard dist/python3.13),RIC_TEST_EXECUTABLE=$(UNPACKED)) cargo bench -p ric --bench side_by_side

bench-push: image setup-test ## Time pushes into docker-registry, ours against skopeo's
	python3 tests/bench_push.py $(IMGBUILD)

build: setup ## Compile imgbuild
	cargo build --release

setup: ## Install what a build needs on Debian or Ubuntu
	@.ci/setup build

setup-test: ## Install what the tests need, too
	@.ci/setup build test

setup-bench:
	@.ci/setup build bench

clean: ## Remove what was built here; the cache in ~/.cache/imgbuild stays
	rm -rf target dist

.PHONY: help image test check bench bench-ric build setup setup-test setup-bench clean
