#!/bin/sh
# bzip2 → include/bzlib.h, lib/libbz2.a.
# In: upstream's tree or a crate's copy, both with the .c files in the top folder.
set -eu

out=/imgbuild/out
mkdir -p $out/include $out/licenses
cp LICENSE $out/licenses/bzip2
compile-archive $out/lib/libbz2.a -O3 -D_FILE_OFFSET_BITS=64 -- \
    blocksort.c huffman.c crctable.c randtable.c compress.c decompress.c bzlib.c
cp bzlib.h $out/include/
