# `make` alone prints this list.
.DEFAULT_GOAL := help
IMGBUILD := target/release/imgbuild

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

image: build ## Build everything needed, then the image of python3.13 in dist/python3.13
	$(IMGBUILD) python3.13

test: setup-test build ## Run every test, with one real build of python3.13 and invocations in it
	cargo test --workspace --release

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
