#!/bin/sh
# The runtime interface client → libric.a, which holds `main` and serves every interpreter and every base.
# In: its Rust source in /imgbuild/files, and a Rust toolchain.
set -eu

/imgbuild/rust/bin/rustc --edition 2024 --crate-name ric --crate-type staticlib --target "$RUST_TARGET" \
    --remap-path-prefix /imgbuild/files=ric --cfg 'feature="executable"' \
    -C opt-level=s -C codegen-units=1 -C panic=abort -C lto=fat -C relocation-model=pic \
    /imgbuild/files/lib.rs -o /imgbuild/out/libric.a
