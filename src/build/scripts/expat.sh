#!/bin/sh
# expat → include/expat{,_external,_config}.h, lib/libexpat.a.
# In: a release tarball, or a tag archive (no configure) with the library in its folder `expat`.
set -eu

out=/imgbuild/out
[ ! -d expat ] || cd expat
mkdir -p $out/include $out/licenses
cp COPYING $out/licenses/expat
# The answers of upstream's configure on Linux with glibc 2.25 or newer.
cat >lib/expat_config.h <<CONFIG
#define BYTEORDER 1234
#define HAVE_GETRANDOM 1
#define HAVE_SYSCALL_GETRANDOM 1
#define XML_DEV_URANDOM 1
#define XML_CONTEXT_BYTES 1024
#define XML_DTD 1
#define XML_GE 1
#define XML_NS 1
CONFIG
# From 2.8 each source of randomness is a file of its own.
sources='xmlparse.c xmlrole.c xmltok.c'
for random in getrandom dev_urandom; do
    [ ! -e "lib/random_$random.c" ] || sources="$sources random_$random.c"
done
cd lib
compile-archive $out/lib/libexpat.a -O3 -I. -- $sources
# expat_config.h too: pyexpat includes it since 3.13.15, for the layout of expat's types.
cp expat.h expat_external.h expat_config.h $out/include/
