#!/bin/sh
# The runtime interface client → libric.a, which holds `main` and serves every interpreter and every base.
# In: its Rust source in /imgbuild/files, and at /imgbuild/rust a Rust compiler with the standard library of RUST_TARGET.
set -eu

packaged /imgbuild/rust usr/bin/rustc --sysroot /imgbuild/rust/usr --edition 2024 --crate-name ric --crate-type staticlib \
    --target "$RUST_TARGET" --remap-path-prefix /imgbuild/files=ric --cfg 'feature="executable"' \
    -C opt-level=s -C codegen-units=1 -C panic=abort -C lto=fat -C relocation-model=pic \
    /imgbuild/files/lib.rs -o /imgbuild/out/libric.a
