#!/bin/sh
# CPython → out/tree   what goes into the image under $PREFIX, without bin/python3.X
#           out/link   what link.sh makes bin/python3.X from: objects, libraries and the linker's arguments
#           out/host   bin/python3.X without the runtime interface client, to compile bytecode and to ask questions
# In: a release tarball; /imgbuild/deps: the C libraries; JIT=disabled|available|enabled, FREE_THREADING=disabled|enabled.
set -eu

out=/imgbuild/out
deps=/imgbuild/deps
series=$(echo "$VERSION" | cut -d. -f1,2)
tree=$out/tree

case $JIT in
disabled) jit=no ;;
available) jit=yes-off ;;
enabled) jit=yes ;;
esac
case $FREE_THREADING in
disabled) gil=--enable-gil suffix= ;;
enabled) gil=--disable-gil suffix=t ;;
esac

# --- configure -------------------------------------------------------------------------------------------------------------------
# Questions that configure answers by running programs: the answers of glibc on Linux, whatever the sandbox lacks.
export ac_cv_file__dev_ptmx=yes ac_cv_file__dev_ptc=no ac_cv_buggy_getaddrinfo=no ac_cv_working_tzset=yes \
    ac_cv_posix_semaphores_enabled=yes ac_cv_broken_sem_getvalue=no ac_cv_aligned_required=no
# pkg-config would find the host's libraries, a host python would hide that a generated file is missing.
export PKG_CONFIG=false PYTHON_FOR_REGEN=false MODULE_BUILDTYPE=static
export CPPFLAGS=-I$deps/include LDFLAGS=-L$deps/lib
export LIBEDIT_LIBS='-ledit -lncursesw' LIBSQLITE3_LIBS='-lsqlite3 -lm' CURSES_LIBS=-lncursesw PANEL_LIBS='-lpanelw -lncursesw'
export LIBEDIT_CFLAGS= LIBSQLITE3_CFLAGS= CURSES_CFLAGS= PANEL_CFLAGS=
# GUI, GPL and NIS libraries have no place in a function; dbm keeps its portable back ends.
printf '*disabled*\n_tkinter _gdbm _dbm nis\n' >Modules/Setup.local

./configure --build="$TARGET" --host="$TARGET" --prefix="$PREFIX" --enable-shared --enable-ipv6 --disable-test-modules \
    --without-ensurepip --with-computed-gotos --with-system-expat --with-system-libmpdec --with-openssl=$deps --with-readline=editline \
    --with-dbmliborder= --enable-loadable-sqlite-extensions --enable-experimental-jit=$jit $gil \
    CC=clang CXX=clang++ AR=llvm-ar RANLIB=llvm-ranlib OPT='-DNDEBUG -fwrapv -O3 -Wall'

# --- build -----------------------------------------------------------------------------------------------------------------------
# Both executables and libpython show the C API and nothing of the libraries inside them.
echo '{ global: Py*; _Py*; local: *; };' >exports.map
harden='-Wl,-z,relro -Wl,-z,now -Wl,-s'
# zig's linker driver needs an object to know what it links; libpython3.so is made of libraries only.
: >empty.c
clang -fPIC -c empty.c -o empty.o
build() {
    # The interpreter is linked from the objects: inside a shared library each access to the thread's state costs a call.
    make -j"$JOBS" "$@" LINK_PYTHON_OBJS='$(LIBRARY_OBJS)' LINKFORSHARED='-Wl,--export-dynamic -pie' LDFLAGS_NODIST="$harden" \
        BLDSHARED="clang -shared $LDFLAGS $harden -Wl,--version-script=exports.map" NO_AS_NEEDED='-Wl,--no-as-needed empty.o'
}
build all

# --- the tree --------------------------------------------------------------------------------------------------------------------
mkdir -p $out/host $out/link
cp python $out/host/python$series
# Installing would compile everything three times, with times in it: bytecode comes below.
build libinstall inclinstall libainstall PYTHON_FOR_BUILD=: DESTDIR=$tree
