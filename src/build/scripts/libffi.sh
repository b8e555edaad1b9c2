#!/bin/sh
# libffi → include/ffi{,target}.h, lib/libffi.a.
# In: a release tarball, a tag archive without configure or a crate's copy, 3.4 or newer. Compiled directly: configure spends a
# minute on questions whose answers for 64-bit Linux are the few lines below.
set -eu

out=/imgbuild/out
mkdir -p $out/include $out/licenses
cp LICENSE $out/licenses/libffi
case $TARGET in
x86_64-*)
    machine=X86_64 folder=src/x86 sources='ffi64.c unix64.S ffiw64.c win64.S'
    ;;
aarch64-*)
    machine=AARCH64 folder=src/aarch64 sources='ffi.c sysv.S'
    ;;
*)
    echo "libffi.sh: no libffi machine is known for $TARGET" >&2
    exit 1
    ;;
esac
version=$(sed -n 's/^AC_INIT(\[libffi\], *\[\([0-9.]*\)\].*/\1/p' configure.ac)
number=$(echo "$version" | awk -F. '{ print $1 * 10000 + $2 * 100 + $3 }')
sed -e "s/@VERSION@/$version/; s/@FFI_VERSION_STRING@/$version/; s/@FFI_VERSION_NUMBER@/$number/; s/@TARGET@/$machine/" \
    -e "s/@HAVE_LONG_DOUBLE@/1/; s/@FFI_EXEC_TRAMPOLINE_TABLE@/0/" include/ffi.h.in >include/ffi.h
cp $folder/ffitarget.h include/
# FFI_EXEC_STATIC_TRAMP: closures need no memory that is writable and executable at once.
{
    for name in ALLOCA_H AS_CFI_PSEUDO_OP HIDDEN_VISIBILITY_ATTRIBUTE INTTYPES_H LONG_DOUBLE MEMCPY MKOSTEMP MKSTEMP MMAP MMAP_ANON \
        RO_EH_FRAME STDINT_H STDIO_H STDLIB_H STRING_H SYS_MMAN_H SYS_STAT_H SYS_TYPES_H UNISTD_H; do
        echo "#define HAVE_$name 1"
    done
    [ "$machine" != X86_64 ] || echo '#define HAVE_AS_X86_PCREL 1
#define HAVE_AS_X86_64_UNWIND_SECTION_TYPE 1'
    [ "${GLIBC#2.}" -lt 27 ] || echo '#define HAVE_MEMFD_CREATE 1'
    cat <<CONFIG
#define EH_FRAME_FLAGS "a"
#define FFI_EXEC_STATIC_TRAMP 1
#define SIZEOF_DOUBLE 8
#define SIZEOF_LONG_DOUBLE 16
#define SIZEOF_SIZE_T 8
#define STDC_HEADERS 1
#ifdef HAVE_HIDDEN_VISIBILITY_ATTRIBUTE
#ifdef LIBFFI_ASM
#define FFI_HIDDEN(name) .hidden name
#else
#define FFI_HIDDEN __attribute__ ((visibility ("hidden")))
#endif
#endif
CONFIG
} >fficonfig.h
for source in $sources; do files="${files:-} $folder/$source"; done
# 3.4 calls a function of its own without a prototype, which clang refuses by default.
compile-archive $out/lib/libffi.a -O2 -Wno-error=implicit-function-declaration -I. -Iinclude -Isrc -- \
    src/prep_cif.c src/types.c src/raw_api.c src/java_raw_api.c src/closures.c src/tramp.c $files
cp include/ffi.h include/ffitarget.h $out/include/
