#!/bin/sh
# CPython → out/tree   what the image gets, under $PREFIX, all but bin/python3.X
#           out/link   what link.sh makes bin/python3.X from: objects, libraries and the linker's arguments
#           out/host   python3.X without the runtime interface client, to compile bytecode with and to ask questions
# In: a release tarball; /imgbuild/deps: the C libraries; JIT=disabled|available|enabled, FREE_THREADING=disabled|enabled;
#     for a JIT: /imgbuild/llvm, and the same version without a JIT at $PREFIX and its out/host at /imgbuild/host;
#     of the series: CONFIGURE, more arguments; MODULES, what has to be built in; /imgbuild/files/setup, if configure cannot.
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

# Questions that configure answers by running programs: glibc's answers, whatever the sandbox happens to lack.
export ac_cv_file__dev_ptmx=yes ac_cv_file__dev_ptc=no ac_cv_buggy_getaddrinfo=no ac_cv_working_tzset=yes \
    ac_cv_posix_semaphores_enabled=yes ac_cv_broken_sem_getvalue=no ac_cv_aligned_required=no
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
    for tool in clang llvm-readobj llvm-objdump; do
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
# Every module is part of the interpreter: an import costs no search for a file and no dlopen.
export MODULE_BUILDTYPE=static
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

./configure --build="$TARGET" --host="$TARGET" --prefix="$PREFIX" --enable-shared --enable-ipv6 --disable-test-modules \
    --without-ensurepip --with-system-expat --with-system-libmpdec --with-openssl=$deps --with-readline=editline --with-dbmliborder= \
    --enable-loadable-sqlite-extensions $features $CONFIGURE \
    CC=clang CXX=clang++ AR=llvm-ar RANLIB=llvm-ranlib CPPFLAGS=-I$deps/include LDFLAGS=-L$deps/lib OPT='-fwrapv -O3 -Wall'

# --- build -----------------------------------------------------------------------------------------------------------------------

# libpython shows the C API and nothing of the libraries inside it; link.sh gives the interpreter the same rule.
mkdir -p $out/host $out/link
echo '{ global: Py*; PY_*; _Py*; local: *; };' >$out/link/exports
harden='-Wl,-z,relro -Wl,-z,now -Wl,-s'
# zig cc wants an object on each link line; libpython3.so is made of libraries only.
: >empty.c
clang -fPIC -c empty.c -o empty.o
build() {
    # The interpreter is linked from the objects: through a shared library each access to the thread's state costs a call.
    make -j"$JOBS" "$@" LINK_PYTHON_OBJS='$(LIBRARY_OBJS)' BLDLIBRARY='$(LIBRARY_OBJS)' LINKFORSHARED='-Wl,--export-dynamic' LDFLAGS_NODIST="$harden" \
        BLDSHARED="clang -shared -L$deps/lib $harden -Wl,--version-script=$out/link/exports" \
        NO_AS_NEEDED='-Wl,--no-as-needed empty.o'
}
build all
cp python $out/host/python$series
python() { PYTHONHOME=$out/tree$PREFIX PYTHONHASHSEED=0 $out/host/python$series -B "$@"; }

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

# --- the tree --------------------------------------------------------------------------------------------------------------------

# Installing compiles each file three times, with times of today in it; the bytecode comes below.
build libinstall inclinstall libainstall PYTHON_FOR_BUILD=: DESTDIR=$out/tree
cp libpython$abi.so.1.0 libpython3.so $out/tree$PREFIX/lib/

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
described="$library/_sysconfig*_*linux* $library/config-*/Makefile $library/config-*/python-config.py lib/pkgconfig/*.pc bin/python$abi-config"
# One line for each variable, however long, so that the ones about profiles can go.
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
    -e '/^ *.\{0,1\}\(PGO_PROF_[A-Z]*\|LLVM_PROF_[A-Z]*\)/d' $described
if grep -rnE '/imgbuild|\<(zig|clang)\>' $described; then
    echo "cpython.sh: the lines above would tell an extension's build about our build" >&2
    exit 1
fi

# --- bytecode and proof ----------------------------------------------------------------------------------------------------------

# One process, sorted folders, no hash seed: which constants share an object, and so the bytes, depends on all three.
python -m compileall -q -j1 --invalidation-mode unchecked-hash -s $out/tree -p / "$PWD/$library"
# The same modes whatever the umask and the tarball's.
chmod -R u=rwX,go=rX $out/tree

# The modules that are part of the interpreter, exactly: one that configure silently gave up on is a broken function later.
python - "$series" "$JIT" "$FREE_THREADING" "$MODULES" <<'CHECK'
import os, sys, sysconfig

series, jit, free_threading, modules = sys.argv[1:]
failures = []
wanted, found = set(modules.split()), set(sys.builtin_module_names)
if wanted != found:
    failures.append(f"modules missing: {sorted(wanted - found)}, modules not expected: {sorted(found - wanted)}")
shared = os.listdir(f"{sys.prefix}/lib/python{series}{sys.abiflags}/lib-dynload")
if shared:
    failures.append(f"modules that should be built in are shared: {shared}")

import subprocess
import bz2, ctypes, curses, curses.panel, decimal, hashlib, lzma, readline, sqlite3, ssl, uuid, zlib, _uuid, pyexpat

def check(what, ok):
    if not ok:
        failures.append(what)

variable = sysconfig.get_config_var
check("free threading is not what the recipe says", bool(variable("Py_GIL_DISABLED")) == (free_threading == "enabled"))
check("the lock is not what free threading says", getattr(sys, "_is_gil_enabled", lambda: True)() == (free_threading == "disabled"))
check("the JIT is not what the recipe says", ("_Py_JIT" in variable("PY_CORE_CFLAGS")) == (jit != "disabled"))
# Whether it runs shows in the memory of a process that was busy: code that belongs to no file.
busy = """
for round in range(20):
    total = 0
    for number in range(20000):
        total += number & 7
maps = [line.split() for line in open("/proc/self/maps")]
print(any(len(line) == 5 and "x" in line[1] for line in maps))
"""
for switch, runs in ("", jit == "enabled"), ("0", False), ("1", jit != "disabled"):
    said = subprocess.run([sys.executable, "-c", busy], env={**os.environ, "PYTHON_JIT": switch}, capture_output=True, text=True)
    check(f"with PYTHON_JIT={switch} the JIT should run: {runs}; {said.stdout} {said.stderr}", said.stdout.strip() == str(runs))
check(f"sysconfig names the compiler {variable('CC')}", variable("CC") == "gcc" and variable("LDSHARED") == "gcc -shared")
check(f"extension suffix {variable('EXT_SUFFIX')}", variable("EXT_SUFFIX") == f".{variable('SOABI')}.so" and variable("MULTIARCH") in variable("SOABI"))
check("OpenSSL looks for certificates elsewhere", ssl.get_default_verify_paths().openssl_cafile == "/etc/pki/tls/cert.pem")
check("libffi does not call back", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n + 1)(1) == 2)
check("liblzma lacks SHA-256", lzma.is_check_supported(lzma.CHECK_SHA256))
check("readline is not libedit", getattr(readline, "backend", None) == "editline" or "libedit" in readline.__doc__)
check("no uuid from the library", variable("HAVE_UUID_GENERATE_TIME_SAFE") == 1)
check("the C decimal is not in use", decimal.__libmpdec_version__ and decimal.Decimal("1.1") + 1 == decimal.Decimal("2.1"))
check("string hashing is not siphash", sys.hash_info.algorithm.startswith("siphash"))
missing = {"sha256", "sha512", "sha3_256", "blake2b", "md5", "sm3", "ripemd160"} - hashlib.algorithms_available
check(f"hashlib lacks {missing}", not missing)
database = sqlite3.connect(":memory:")
options = {row[0] for row in database.execute("pragma compile_options")}
missing = {f"ENABLE_{name}" for name in "FTS3 FTS4 FTS5 RTREE GEOPOLY MATH_FUNCTIONS DBSTAT_VTAB".split()} - options
check(f"SQLite lacks {missing}", not missing)
check("SQLite extensions cannot be loaded", hasattr(database, "enable_load_extension"))
check("SQLite has no JSON", database.execute("select json_extract('{\"a\": 1}', '$.a')").fetchone() == (1,))
if failures:
    sys.exit("cpython.sh: the built interpreter is wrong:\n  " + "\n  ".join(failures))
CHECK
