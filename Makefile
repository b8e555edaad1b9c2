# `make` alone prints this list.
.DEFAULT_GOAL := help
IMGBUILD := target/release/imgbuild

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

image: build ## Build everything needed, then the image of python3.13 in dist/python3.13
	$(IMGBUILD) python3.13

test: setup-test image ## Run every test: units, the real image and functions in it, the runtime inside its interpreter
	cargo test --release --workspace --exclude ric --no-fail-fast
	rm -rf target/rootfs
	umoci unpack --rootless --image dist/python3.13:$$(sed 's/.*ref\.name":"\([^"]*\)".*/\1/' dist/python3.13/index.json) target/rootfs
	RIC_TEST_EXECUTABLE=$(CURDIR)/target/rootfs/rootfs/var/lang/bin/python3.13 cargo test --release -p ric

check: setup ## Formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --release -- -D warnings

bench: build ## Time a build with nothing to do and one with another boto3, and measure memory
	tests/bench.sh $(IMGBUILD)

build: setup ## Compile imgbuild
	cargo build --release

setup: ## Install what a build needs on Debian or Ubuntu
	@.ci/setup build

setup-test: ## Install what the tests need, too
	@.ci/setup build test

clean: ## Remove what was built here; the cache in ~/.cache/imgbuild stays
	rm -rf target dist

.PHONY: help image test check bench build setup setup-test clean
