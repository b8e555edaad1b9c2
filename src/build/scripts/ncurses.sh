#!/bin/sh
# ncurses, wide characters, with panel → include/ncursesw/, lib/{libncursesw,libpanelw}.a.
# In: a release tarball or snapshot, 6.4 or newer.
set -eu

out=/imgbuild/out
mkdir -p $out/lib $out/include $out/licenses
cp COPYING $out/licenses/ncurses
# Answers that configure asks the compiler for one by one. The build needs no terminal of the host: descriptions are read at run
# time from the image's own terminfo, wherever its distribution keeps it.
./configure --host="$TARGET" --build="$(sh config.guess)" --prefix=/usr --enable-widec --without-shared --with-normal --with-pic --without-debug \
    --without-ada --without-cxx --without-cxx-binding --without-manpages --without-progs --without-tests --without-tack \
    --without-gpm --without-dlsym --without-pkg-config --disable-pc-files --disable-db-install --disable-stripping \
    --disable-rpath --enable-overwrite --enable-const --enable-ext-colors --enable-sigwinch --disable-root-environ \
    --with-default-terminfo-dir=/usr/share/terminfo --with-terminfo-dirs=/etc/terminfo:/lib/terminfo:/usr/share/terminfo \
    CC=clang CPP='clang -E' AR=llvm-ar RANLIB=llvm-ranlib BUILD_CC=clang CFLAGS='-O2 -fPIC -fvisibility=hidden' LDFLAGS=
for part in include ncurses panel; do
    make -C $part -j"$JOBS" sources 2>/dev/null || :
done
make -C include -j"$JOBS"
make -C ncurses -j"$JOBS" ../lib/libncursesw.a
make -C panel -j"$JOBS" ../lib/libpanelw.a
cp lib/libncursesw.a lib/libpanelw.a $out/lib/
cp include/curses.h include/ncurses_dll.h include/unctrl.h include/term.h panel/panel.h $out/include/
ln -s curses.h $out/include/ncurses.h
