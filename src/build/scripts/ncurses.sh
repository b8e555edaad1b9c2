#!/bin/sh
# ncurses, wide characters, with panel → include/{ncurses,panel,…}.h, lib/{libncursesw,libpanelw}.a.
# In: a release tarball or snapshot, 6.4 or newer. Descriptions of terminals are not built: they are read at run time from the image's
# own terminfo, wherever its distribution keeps it.
set -eu

out=/imgbuild/out
mkdir -p $out/lib $out/include $out/licenses
cp COPYING $out/licenses/ncurses
./configure --build="$(sh config.guess)" --host="$TARGET" --prefix=/usr --enable-widec --with-normal --with-pic --without-shared \
    --without-debug --without-ada --without-cxx --without-cxx-binding --without-manpages --without-progs --without-tests --without-tack \
    --without-gpm --without-dlsym --without-pkg-config --disable-pc-files --disable-db-install --disable-stripping --disable-rpath \
    --enable-const --enable-ext-colors --enable-sigwinch --disable-root-environ \
    --with-default-terminfo-dir=/usr/share/terminfo --with-terminfo-dirs=/etc/terminfo:/lib/terminfo:/usr/share/terminfo \
    CC=clang CPP='clang -E' AR=llvm-ar RANLIB=llvm-ranlib BUILD_CC=build-cc CFLAGS='-O2 -fPIC -fvisibility=hidden' LDFLAGS=
make -C include -j"$JOBS"
# configure's own flags ask the archiver for times.
make -C ncurses -j"$JOBS" ARFLAGS=rcsD ../lib/libncursesw.a
make -C panel -j"$JOBS" ARFLAGS=rcsD ../lib/libpanelw.a
cp lib/libncursesw.a lib/libpanelw.a $out/lib/
cp include/curses.h include/ncurses_dll.h include/unctrl.h include/term.h panel/panel.h $out/include/
ln -s curses.h $out/include/ncurses.h
