#!/bin/sh
# CPython → out/tree   what the image gets, under $PREFIX, all but bin/python3.X
#           out/link   what link.sh makes bin/python3.X from: objects, libraries and the linker's arguments
#           out/host   python3.X without the runtime interface client, to compile bytecode with and to ask questions
# In: a release tarball; /imgbuild/deps: the C libraries; JIT=disabled|available|enabled, FREE_THREADING=disabled|enabled;
#     BUILD, the machine that this runs on, as in TARGET; for a JIT: /imgbuild/llvm; for a JIT or another machine: the same version,
#     made for this machine and without a JIT, at $PREFIX and its out/host at /imgbuild/host;
#     OPTIMIZE=none|pgo|pgo-lto, for the latter two /imgbuild/files/profile and /imgbuild/files/start, if there are;
#     OPTIMIZE=train: /imgbuild/files/training and /imgbuild/llvm, and all that comes out is profiles: training/train.sh;
#     of the series: CONFIGURE, more arguments; /imgbuild/files/setup, if configure cannot.
set -eu

out=/imgbuild/out
deps=/imgbuild/deps
series=$(echo "$VERSION" | cut -d. -f1,2)
case $JIT in
disabled) jit=no ;;
available) jit=yes-off ;;
enabled) jit=yes ;;
esac
case $FREE_THREADING in
disabled) gil=enable abi=$series ;;
enabled) gil=disable abi=${series}t ;;
esac
features="--enable-experimental-jit=$jit --$gil-gil"
case $series in
3.10 | 3.11 | 3.12) features= ;;
esac

# --- configure -------------------------------------------------------------------------------------------------------------------

# Questions that configure answers by running programs: the answers of glibc and clang, whatever the sandbox happens to lack, and
# for another machine too, where configure would guess the worst: another hash, no tzset, slower loops.
export ac_cv_file__dev_ptmx=yes ac_cv_file__dev_ptc=no ac_cv_buggy_getaddrinfo=no ac_cv_working_tzset=yes \
    ac_cv_posix_semaphores_enabled=yes ac_cv_broken_sem_getvalue=no ac_cv_aligned_required=no ac_cv_computed_gotos=yes \
    ac_cv_pthread=yes ac_cv_pthread_is_default=yes ac_cv_pthread_system_supported=yes
case $TARGET in
x86_64-*) export ac_cv_wchar_t_signed=yes ;;
aarch64-*) export ac_cv_wchar_t_signed=no ;;
esac
# pkg-config would find the host's libraries; a python of the host would hide that a generated file is missing.
export PKG_CONFIG=false PYTHON_FOR_REGEN=false
# glibc before 2.30 waits for a semaphore by the wall clock only, and a clock that is set back would hang a thread; without
# semaphores CPython's locks are condition variables, which wait by the monotonic clock.
case $GLIBC in
2.2?) export ac_cv_func_sem_timedwait=no ac_cv_func_sem_clockwait=no ;;
esac
if [ "$JIT" != disabled ]; then
    # The stencils: made by an interpreter of the same version with LLVM's own clang, which is not the one called clang here.
    # zig has the C library's headers; the packages' programs run with the packages' libraries, whatever this machine has.
    mkdir /tmp/jit
    headers=/imgbuild/zig/lib/libc/include
    machine=$(echo "${TARGET%%-*}" | sed s/x86_64/x86/)
    llvm=$(cd /imgbuild/llvm && echo usr/lib/llvm-*)
    for tool in clang llvm-readobj llvm-objdump llvm-dwarfdump; do
        arguments=
        [ $tool != clang ] || arguments="-resource-dir $(echo /imgbuild/llvm/$llvm/lib/clang/*) -nostdlibinc -D__GLIBC_MINOR__=${GLIBC#2.} \
            -isystem $headers/$machine-linux-gnu -isystem $headers/generic-glibc -isystem $headers/$machine-linux-any \
            -isystem $headers/any-linux-any"
        printf '#!/bin/sh\nexec packaged /imgbuild/llvm %s "$@"\n' "$llvm/bin/$tool $arguments" >/tmp/jit/$tool
    done
    export LLVM_VERSION=${llvm##*-}
    sed -i "s/^_LLVM_VERSION = .*/_LLVM_VERSION = $LLVM_VERSION/" Tools/jit/_llvm.py
    printf '#!/bin/sh\nPATH=/tmp/jit:$PATH exec /imgbuild/host/python%s -B "$@"\n' "$series" >/tmp/jit/python
    chmod 755 /tmp/jit/*
    export PYTHON_FOR_REGEN=/tmp/jit/python
fi
# What runs the build's own scripts: the interpreter itself, or its like for this machine.
runner=$out/host/python$series
if [ "$BUILD" != "$TARGET" ]; then
    runner=/imgbuild/host/python$series
    for_build=$runner
    [ "$JIT" = disabled ] || for_build=/tmp/jit/python
    features="$features --with-build-python=$for_build"
    # 3.10 looks for it by name.
    PATH=/imgbuild/host:$PATH
fi
# Early patch releases know the end of certificates in DER form by an error of OpenSSL's, which is another one in 3.5.
grep -q 'BIO_eof(biobuf)' Modules/_ssl.c || sed -i 's/cert = \(d2i_X509_bio(\)/cert = BIO_eof(biobuf) ? NULL : \1/' Modules/_ssl.c
# Every module is part of the interpreter: an import costs no search for a file and no dlopen.
export MODULE_BUILDTYPE=static
# From 3.14 on the hash modules bring their objects along, and hmac all of them once more, which is right for shared modules only:
# libraries of the same objects give each of them once. What MODLIBS says of them goes into the final link, too.
sed -i '/^LIBHACL_[A-Z0-9]*_LIB_SHARED=/{:line;/\\$/{N;bline};s/^\(LIBHACL_[A-Z0-9]*_LIB_\)SHARED=.*/\1SHARED=$(\1STATIC)/}' Makefile.pre.in
# Each start imports these: they come with the interpreter, as codecs and io do. Their place in CPython's own list is a comment,
# for the lines that all encodings would print during its build. 3.10 has no such list.
if [ -e Python/frozen_modules ]; then
    for module in encodings/__init__ encodings/aliases encodings/utf_8; do
        name=$(echo "${module%/__init__}" | tr / .)
        frozen=_Py_M__$(echo "$name" | tr . _)
        header=Python/frozen_modules/$name.h
        package=false
        [ "$name" != encodings ] || package=true
        printf '\n%s: Lib/%s.py $(FREEZE_MODULE_DEPS)\n\t$(FREEZE_MODULE) %s $(srcdir)/Lib/%s.py %s\n' $header $module $name $module $header >>Makefile.pre.in
        sed -i "s|^FROZEN_FILES_OUT = .*|&\n\t\t$header \\\\|" Makefile.pre.in
        sed -i "s|^/. End includes|#include \"frozen_modules/$name.h\"\n&|; s|^ *{\"io\", .*|&\n    {\"$name\", $frozen, (int)sizeof($frozen), $package},|" Python/frozen.c
    done
fi
if [ -e /imgbuild/files/setup ]; then
    sed "s/^@$series@//; /^[@#]/d" /imgbuild/files/setup >Modules/Setup.local
    # Only later ones have a switch that says where an internal header may be used.
    [ "$series" != 3.10 ] || sed -i '/^[_a-z]/s,$, -DPy_BUILD_CORE_BUILTIN -I$(srcdir)/Include/internal,' Modules/Setup.local
fi
# GUI, GPL, NIS and sound libraries have no place in a function, nor has a crypt that the compiler has no library for; dbm
# keeps its back ends dbm.sqlite3 and dbm.dumb.
printf '*disabled*\n_tkinter _gdbm _dbm nis _crypt ossaudiodev\n' >>Modules/Setup.local
# What static libraries need beside themselves, which only pkg-config or a shared library would know.
export LIBEDIT_CFLAGS= LIBEDIT_LIBS='-ledit -lncursesw' CURSES_CFLAGS= CURSES_LIBS=-lncursesw PANEL_CFLAGS= \
    PANEL_LIBS='-lpanelw -lncursesw' LIBSQLITE3_CFLAGS= LIBSQLITE3_LIBS='-lsqlite3 -lm' LIBZSTD_CFLAGS= LIBZSTD_LIBS=-lzstd

./configure --build="$BUILD" --host="$TARGET" --prefix="$PREFIX" --enable-shared --enable-ipv6 --disable-test-modules \
    --without-ensurepip --with-system-expat --with-system-libmpdec --with-openssl=$deps --with-readline=editline --with-dbmliborder= \
    --enable-loadable-sqlite-extensions $features $CONFIGURE \
    CC=clang CXX=clang++ AR=llvm-ar RANLIB=llvm-ranlib READELF=llvm-readelf CPPFLAGS=-I$deps/include LDFLAGS=-L$deps/lib OPT='-fwrapv -O3 -Wall'

# --- build -----------------------------------------------------------------------------------------------------------------------

# libpython shows the C API and nothing of the libraries inside it; link.sh gives the interpreter the same rule.
mkdir -p $out/host $out/link
echo '{ global: Py*; PY_*; _Py*; local: *; };' >$out/link/exports
harden='-Wl,-z,relro -Wl,-z,now -Wl,-s'
# zig cc wants an object on each link line; libpython3.so is made of libraries only.
: >empty.c
clang -fPIC -c empty.c -o empty.o
# A profile that does not fit everywhere is as good as none there, and no reason for a page of warnings.
profiled=
if [ -e /imgbuild/files/profile ]; then
    profiled='-fprofile-use=/imgbuild/files/profile -mllvm -pgo-cold-func-opt=optsize -Wno-profile-instr-unprofiled -Wno-profile-instr-out-of-date -Wno-backend-plugin'
fi
# Objects with machine code, for everything that is linked on the way, and the compiler's own form, for the executable.
[ "$OPTIMIZE" != pgo-lto ] || profiled="$profiled -flto=thin -ffat-lto-objects"
build() {
    # The interpreter is linked from the objects: through a shared library each access to the thread's state costs a call.
    make -j"$JOBS" "$@" CFLAGS_NODIST="$profiled" LINK_PYTHON_OBJS='$(LIBRARY_OBJS)' BLDLIBRARY='$(LIBRARY_OBJS)' LINKFORSHARED='-Wl,--export-dynamic' LDFLAGS_NODIST="$harden" \
        BLDSHARED="clang -shared -L$deps/lib $harden -Wl,--version-script=$out/link/exports" \
        NO_AS_NEEDED='-Wl,--no-as-needed empty.o'
}
if [ "$OPTIMIZE" = train ]; then
    . /imgbuild/files/training/train.sh
    exit
fi
build all
cp python $out/host/python$series
python() { PYTHONHOME=$out/tree$PREFIX PYTHONHASHSEED=0 $runner -B "$@"; }
# A question that configure answered wrongly shows in a function much later.
for answer in WORKING_TZSET COMPUTED_GOTOS DEV_PTMX; do
    grep -q "^#define HAVE_$answer 1" pyconfig.h || wrong="${wrong:-} no-$answer"
done
for answer in BROKEN_SEM_GETVALUE POSIX_SEMAPHORES_NOT_ENABLED ALIGNED_REQUIRED BUGGY_GETADDRINFO; do
    ! grep -qE "^#define (HAVE_)?$answer 1" pyconfig.h || wrong="${wrong:-} $answer"
done
[ -z "${wrong:-}" ] || { echo "cpython.sh: configure found:$wrong" >&2; exit 1; }

# --- what the final link needs ---------------------------------------------------------------------------------------------------

libraries=$(printf 'include Makefile\nlibraries:;@echo $(MODLIBS)\n' | make -s -f - libraries)
cp libpython$abi.a $out/link/libpython.a
{
    echo '--whole-archive libpython.a --no-whole-archive'
    for library in $libraries; do
        case $library in
        -l*) library=$deps/lib/lib${library#-l}.a ;;
        -*) continue ;;
        esac
        # What is not ours (-lm, -ldl) is the C library, and link.sh has all of it.
        [ -e "$library" ] || continue
        cp "$library" $out/link/
        basename "$library"
    done
} >$out/link/arguments

if [ "$OPTIMIZE" = pgo-lto ]; then
    # The executable as a whole. What others may name is what it exports, so the objects that come out serve the link with the
    # runtime interface client, too, which is made more often than they.
    objects=$(printf 'include Makefile\nobjects:;@echo $(LIBRARY_OBJS)\n' | make -s -f - objects)
    mkdir /tmp/lto
    # `main` is not one of them: the runtime interface client brings another one.
    echo 'int Py_BytesMain(int, char **); int main(int argc, char **argv) { return Py_BytesMain(argc, argv); }' >/tmp/main.c
    clang -fPIC -O2 -c /tmp/main.c -o /tmp/main.o
    # With clang's own limits a quarter of the interpreter is inlined into its loop: four times the work, and no faster. And most
    # instructions would jump to the next through one of a few shared jumps, whose target no processor can guess. How often blocks
    # run is estimated well for loops with one entry only, so that RETURN_VALUE counted as cold, unless the estimate is repeated until
    # it holds. Reassociation would have every instruction compute -oparg for the few that want it, and an interval of thousands of
    # values is given up with two registers where one would do.
    sh /imgbuild/files/link.sh $out/link /tmp/main.o $out/host/python$series --fat-lto-objects --thinlto-jobs="$JOBS" --lto-obj-path=/tmp/lto/object \
        -mllvm -hot-callsite-threshold=1200 -mllvm -import-hot-multiplier=5 -mllvm -enable-split-machine-functions \
        -mllvm -tail-dup-pred-size=5000 -mllvm -tail-dup-succ-size=5000 -mllvm -use-iterative-bfi-inference \
        -mllvm -opt-disable=reassociate -mllvm -large-interval-freq-threshold=1000000 -Map=/tmp/map
    rm $out/link/libpython.a
    # shellcheck disable=SC2046,SC2086 # one word per object
    llvm-ar rcs $out/link/libpython.a /tmp/lto/object* $(grep -LF .llvm.lto $objects)
fi
if [ -e /imgbuild/files/start ]; then
    cp /imgbuild/files/start $out/link/start
    # What was static and is used by another object has a name of its own.
    [ "$OPTIMIZE" != pgo-lto ] || awk 'NR == FNR { start[$1]; next } { name = $NF; sub(/\.llvm\.[0-9]+$/, "", name) } name in start { print $NF }' \
        /imgbuild/files/start /tmp/map | sort -u >$out/link/start
fi

# --- the tree --------------------------------------------------------------------------------------------------------------------

# Installing compiles each file three times, with times of today in it; the bytecode comes below. Everything is built: what a
# look at the clock would build once more, could not ask the interpreter.
build --old-file=all libinstall inclinstall libainstall PYTHON_FOR_BUILD=: DESTDIR=$out/tree
cp libpython$abi.so.1.0 libpython3.so $out/tree$PREFIX/lib/
# From 3.15 on only an installation of everything has this.
for details in "$(cat pybuilddir.txt)"/build-details*.json; do
    [ ! -e "$details" ] || cp "$details" $out/tree$PREFIX/lib/python$abi/
done

cd $out/tree$PREFIX
library=lib/python$abi
if [ ! -e bin/pydoc$series ]; then
    # Earlier ones install their commands with distutils, and their shared modules, of which there is none.
    for command in pydoc 2to3; do
        sed "1s,.*,#!$PREFIX/bin/python$series," /imgbuild/src/Tools/scripts/$command* >bin/$command-$series
        chmod 755 bin/$command-$series
    done
    mv bin/pydoc-$series bin/pydoc$series
fi
ln -s libpython$abi.so.1.0 lib/libpython$abi.so
ln -s python$abi-config bin/python3-config
ln -s pydoc$series bin/pydoc3
ln -s python-$abi.pc lib/pkgconfig/python3.pc
ln -s python-$abi-embed.pc lib/pkgconfig/python3-embed.pc
# Python warns at each start when this folder of shared modules is not there.
mkdir -p $library/lib-dynload $library/site-packages
rm -rf bin/idle$series
rm -r $library/idlelib $library/tkinter $library/turtledemo $library/turtle.py
rm $library/config-*/libpython*.a $library/config-*/python.o
mkdir -p share/licenses
cp -r $deps/licenses/. share/licenses/

# Whoever builds an extension in a child image has gcc, not our compiler, and none of our folders.
described="$library/_sysconfig*_*linux* $library/config-*/Makefile $library/config-*/python-config.py lib/pkgconfig/*.pc bin/python$abi-config \
    $(find $library -maxdepth 1 -name 'build-details*.json')"
# One line for each variable, however long, so that the ones about profiles and about this machine can go.
python - $library/_sysconfigdata_*.py <<'LINES'
import sys

described = {}
exec(open(sys.argv[1]).read(), described)
variables = described["build_time_vars"].items()
lines = "".join(f" {name!r}: {value!r},\n" for name, value in sorted(variables))
with open(sys.argv[1], "w") as file:
    file.write(f"# system configuration generated and used by the sysconfig module\nbuild_time_vars = {{\n{lines}}}\n")
LINES
sed -i -e 's/clang++/g++/g; s/\<clang\>/gcc/g; s/llvm-ar/ar/g; s/llvm-ranlib/ranlib/g' \
    -e "s, *-[IL]$deps/[a-z]*,,g; s,'--with-openssl=[^']*',,; s,LD_LIBRARY_PATH=/imgbuild/src,,; s,/imgbuild/src,/usr/src/python,g" \
    -e "s, '--with-build-python=[^']*',,; s,\(--build\|build_alias\)=$BUILD,\1=$TARGET,g; s,^\(_PYTHON_HOST_PLATFORM=\).*,\1,; s/llvm-readelf/readelf/g" \
    -e "s, *-fprofile-use=[^ ']*,,g; s, *-mllvm -pgo-cold-func-opt=optsize,,g; s, *-Wno-profile-instr-[a-z-]*,,g; s, *-Wno-backend-plugin,,g; s, *-flto=thin -ffat-lto-objects,,g" \
    -e '/^ *.\{0,1\}\(PGO_PROF_[A-Z]*\|LLVM_PROF_[A-Z]*\|PYTHON_FOR_[A-Z_]*\|FREEZE_MODULE[A-Z_]*\|BUILD_GNU_TYPE\|UPDATE_FILE\|TESTPYTHON\|TESTRUNNER\)/d' $described
if grep -rnE '/imgbuild|\<(zig|clang)\>' $described; then
    echo "cpython.sh: the lines above would tell an extension's build about our build" >&2
    exit 1
fi

# --- bytecode ---------------------------------------------------------------------------------------------------------------------

# One process, sorted folders, no hash seed: which constants share an object, and so the bytes, depends on all three.
python -m compileall -q -j1 --invalidation-mode unchecked-hash -s $out/tree -p / "$PWD/$library"
# The same modes whatever the umask and the tarball's.
chmod -R u=rwX,go=rX $out/tree
