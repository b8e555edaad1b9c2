# The compiler's own parts for $TARGET and glibc $GLIBC, and for programs that run during the build: start files, the C
# library's stubs, compiler-rt. They land in the compiler's cache, which is all that this leaves.
set -eu
cd /tmp
echo 'int main(void) { return 0; }' >program.c
clang program.c -o program
clang -O2 -fPIC -shared program.c -o program.so
build-cc program.c -o program
