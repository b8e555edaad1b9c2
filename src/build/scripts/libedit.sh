#!/bin/sh
# libedit → include/editline/readline.h, lib/libedit.a.
# In: a release tarball; /imgbuild/deps: ncurses. Compiled directly: its configure only knows libraries called ncurses, not ncursesw.
set -eu

out=/imgbuild/out
mkdir -p $out/include/editline $out/licenses
cp COPYING $out/licenses/libedit
for name in CURSES_H NCURSES_H TERM_H GETPW_R_POSIX SECURE_GETENV GETLINE STDINT_H SYS_TYPES_H SYS_CDEFS_H U_INT32_T SIZE_MAX WCSDUP; do
    echo "#define HAVE_$name 1"
done >config.h
echo '#include "sys.h"' >>config.h
cd src
# The tables of editor commands, from the comments of the functions that carry them out.
for name in vi emacs common; do AWK=awk sh ./makelist -h $name.c >$name.h; done
AWK=awk sh ./makelist -fh vi.h emacs.h common.h >fcns.h
AWK=awk sh ./makelist -fc vi.h emacs.h common.h >func.h
AWK=awk sh ./makelist -bh vi.c emacs.c common.c >help.h
# The C library has these three since glibc 2.38 at the earliest, or not at all.
compile-archive $out/lib/libedit.a -O2 -D_GNU_SOURCE -include ../config.h -I. -I.. -I/imgbuild/deps/include -- \
    strlcpy.c strlcat.c vis.c unvis.c reallocarr.c \
    chared.c chartype.c common.c el.c eln.c emacs.c filecomplete.c hist.c history.c historyn.c keymacro.c literal.c map.c parse.c \
    prompt.c read.c readline.c refresh.c search.c sig.c terminal.c tokenizer.c tokenizern.c tty.c vi.c
cp editline/readline.h $out/include/editline/
