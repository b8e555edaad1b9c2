#!/bin/sh
# libuuid of util-linux → include/uuid/uuid.h, lib/libuuid.a.
# In: util-linux 2.38 or newer. Its configure asks about a whole system; the dozen files of libuuid need the answers below.
set -eu

out=/imgbuild/out
mkdir -p $out/include/uuid $out/licenses
cp Documentation/licenses/COPYING.BSD-3-Clause $out/licenses/libuuid
for name in ERR_H ERR ERRX WARN WARNX STDLIB_H UNISTD_H SYS_TIME_H SYS_FILE_H SYS_IOCTL_H SYS_SOCKET_H SYS_UN_H SYS_SYSCALL_H \
    SYS_SYSMACROS_H SYS_AUXV_H SYS_SENDFILE_H SENDFILE NET_IF_H NETINET_IN_H LIBPTHREAD TLS GETRANDOM JRAND48 NANOSLEEP DIRFD \
    LOFF_T MEMPCPY STRNLEN STRNDUP TIMEGM GETAUXVAL REALLOCARRAY LOCALE_H LANGINFO_H PROGRAM_INVOCATION_SHORT_NAME; do
    echo "#define HAVE_$name 1"
done >config.h
sources='lib/randutils.c lib/md5.c lib/sha1.c'
for part in clear compare copy gen_uuid isnull pack parse unpack unparse uuid_time predefined; do
    sources="$sources libuuid/src/$part.c"
done
compile-archive $out/lib/libuuid.a -O2 -D_GNU_SOURCE -D_PATH_RUNSTATEDIR='"/run"' -D_PATH_LOCALSTATEDIR='"/var"' \
    -include config.h -I. -Iinclude -Ilibuuid/src -- $sources
cp libuuid/src/uuid.h $out/include/uuid/
