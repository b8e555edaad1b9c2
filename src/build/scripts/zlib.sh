#!/bin/sh
# zlib → include/{zlib,zconf}.h, lib/libz.a.
# In: upstream's tree, a repack or a crate's copy without a build system: the library is the .c files of its top folder.
set -eu

out=/imgbuild/out
mkdir -p $out/include $out/licenses
cp LICENSE $out/licenses/zlib
# <unistd.h> for zconf.h, and ZLIB_INTERNAL as a hidden symbol: what upstream's configure finds on any Linux.
compile-archive $out/lib/libz.a -O3 -DHAVE_UNISTD_H -DHAVE_STDARG_H -DHAVE_HIDDEN -- \
    adler32.c compress.c crc32.c deflate.c gzclose.c gzlib.c gzread.c gzwrite.c infback.c inffast.c inflate.c \
    inftrees.c trees.c uncompr.c zutil.c
cp zlib.h zconf.h $out/include/
