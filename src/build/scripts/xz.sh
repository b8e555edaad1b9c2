#!/bin/sh
# XZ Utils → include/lzma.h, include/lzma/, lib/liblzma.a.
# In: a release tarball or a copy of the git tree without configure: liblzma's sources are the same, and compiled directly.
set -eu

out=/imgbuild/out
mkdir -p $out/include $out/licenses
cp COPYING.0BSD $out/licenses/xz 2>/dev/null || cp COPYING $out/licenses/xz
case $TARGET in
x86_64-*) hardware='IMMINTRIN_H USABLE_CLMUL' ;;
aarch64-*) hardware='ARM64_CRC32 GETAUXVAL HWCAP_CRC32' ;;
*) hardware= ;;
esac
# The answers of upstream's configure on 64-bit Linux with clang, everything enabled.
{
    for name in ENCODERS DECODERS LZIP_DECODER CHECK_CRC32 CHECK_CRC64 CHECK_SHA256 MF_HC3 MF_HC4 MF_BT2 MF_BT3 MF_BT4 \
        STDBOOL_H STDINT_H INTTYPES_H STRING_H BYTESWAP_H BSWAP_16 BSWAP_32 BSWAP_64 $hardware \
        __BUILTIN_BSWAPXX __BUILTIN_ASSUME_ALIGNED FUNC_ATTRIBUTE_CONSTRUCTOR VISIBILITY CLOCK_GETTIME CLOCK_MONOTONIC \
        PTHREAD_CONDATTR_SETCLOCK; do
        echo "#define HAVE_$name 1"
    done
    for filter in LZMA1 LZMA2 DELTA X86 ARM ARMTHUMB ARM64 IA64 POWERPC SPARC RISCV; do
        echo "#define HAVE_ENCODER_$filter 1"
        echo "#define HAVE_DECODER_$filter 1"
    done
    echo '#define HAVE_DECL_CLOCK_MONOTONIC 1'
    echo '#define MYTHREAD_POSIX 1'
    echo '#define NDEBUG 1'
    echo '#define ASSUME_RAM 128'
    echo '#define SIZEOF_SIZE_T 8'
    echo '#define TUKLIB_SYMBOL_PREFIX lzma_'
    echo '#define TUKLIB_CPUCORES_SCHED_GETAFFINITY 1'
    echo '#define TUKLIB_PHYSMEM_SYSCONF 1'
    echo '#define TUKLIB_FAST_UNALIGNED_ACCESS 1'
    echo '#define PACKAGE_NAME "XZ Utils"'
} >config.h

cd src/liblzma
# Without the generators of tables and the variants for small size, which configure leaves out as well.
sources=$(ls ./*/*.c ../common/tuklib_physmem.c ../common/tuklib_cpucores.c |
    grep -v -e tablegen -e _small.c -e clmul_consts_gen)
compile-archive $out/lib/liblzma.a -O2 -std=gnu99 -pthread -D_GNU_SOURCE -DHAVE_CONFIG_H -I../.. -I../common -Iapi -Icommon -Icheck -Ilz \
    -Irangecoder -Ilzma -Idelta -Isimple -- $sources
cp -R api/lzma.h api/lzma $out/include/
