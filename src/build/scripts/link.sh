#!/bin/sh
# The final link → out/python3.X: CPython with the runtime interface client inside, the only executable of the image.
# In: /imgbuild/link (cpython.sh's out/link), /imgbuild/ric/libric.a, which brings `main`; VERSION of CPython.
# A file `start` in the folder names the functions that run at a start: they lie together, in a third of the pages.
#   link.sh FOLDER MAIN PROGRAM [LINKER-ARGUMENT…]   the same of another folder, with another `main`: cpython.sh's own
set -eu

if [ $# = 0 ]; then
    series=$(echo "$VERSION" | cut -d. -f1,2)
    set -- /imgbuild/link /imgbuild/ric/libric.a "/imgbuild/out/python$series"
fi
cd "$1"
main=$2
program=$3
shift 3
[ ! -e start ] || set -- --symbol-ordering-file=start --no-warn-symbol-ordering "$@"
# zig cc knows the start files and the C library of the target but drops a version script for executables; zig ld.lld takes
# everything. So the linker's line of an empty program, with our objects in the place of its own. libunwind is for Rust's std.
# At a fixed address, as distributions link their interpreters: otherwise each start writes 58,000 addresses into 400 pages. What
# seldom runs lies apart from what runs often: fewer pages are read at a start.
echo 'int main(void) { return 0; }' >/tmp/empty.c
clang -fPIC -c /tmp/empty.c -o /tmp/empty.o
line=$(clang --verbose -no-pie -o /tmp/empty /tmp/empty.o -lunwind -Wl,-z,relro -Wl,-z,now -Wl,-s 2>&1 | sed -n 's/^ld\.lld \(.*-o \/tmp\/empty .*\)/\1/p')
case $line in
*' /tmp/empty.o '*) ;;
*)
    echo "link.sh: zig cc --verbose does not print a linker line as it did: $line" >&2
    exit 1
    ;;
esac
/imgbuild/zig/zig ld.lld $(echo "$line" | sed "s, -o /tmp/empty , -o $program ,; s, /tmp/empty.o , $main @arguments ,; s/-z stack-size=[0-9]*//") \
    --export-dynamic --version-script=exports --hash-style=gnu -z keep-text-section-prefix "$@"
chmod 755 "$program"
