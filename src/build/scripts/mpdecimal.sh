#!/bin/sh
# mpdecimal (libmpdec only) → include/mpdecimal.h, lib/libmpdec.a.
# In: a release tarball. Its configure decides one thing, the arithmetic: assembly on x86_64, 128-bit integers elsewhere.
set -eu

out=/imgbuild/out
mkdir -p $out/include $out/licenses
cp COPYRIGHT.txt $out/licenses/mpdecimal
case $TARGET in
x86_64-*) arithmetic='-DASM' ;;
*) arithmetic='-DANSI -DHAVE_UINT128_T' ;;
esac
cd libmpdec
sed 's/@MPD_HEADER_CONFIG@/#define MPD_CONFIG_64 1/' mpdecimal.h.in >mpdecimal.h
compile-archive $out/lib/libmpdec.a -O2 -std=c99 -DNDEBUG -DCONFIG_64 $arithmetic -- basearith.c constants.c context.c convolute.c \
    crt.c difradix2.c fnt.c fourstep.c io.c mpalloc.c mpdecimal.c mpsignal.c numbertheory.c sixstep.c transpose.c
cp mpdecimal.h $out/include/
