#!/bin/sh
# SQLite → include/sqlite3{,ext}.h, lib/libsqlite3.a.
# In: any folder with the amalgamation (upstream's autoconf tarball, a crate's copy).
set -eu

out=/imgbuild/out
mkdir -p $out/include $out/licenses
# SQLite is in the public domain; its dedication is the comment that opens sqlite3.h.
sed '/^\*\*\*/q' sqlite3.h >$out/licenses/sqlite
# The full-text, spatial and mathematical functions that people expect from Python's sqlite3, sessions, and a default
# that reports a database corrupted by its own SQL instead of trusting it.
compile-archive $out/lib/libsqlite3.a -O2 \
    -DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_FTS3 -DSQLITE_ENABLE_FTS3_PARENTHESIS -DSQLITE_ENABLE_FTS4 \
    -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_GEOPOLY -DSQLITE_ENABLE_MATH_FUNCTIONS \
    -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_SESSION -DSQLITE_ENABLE_PREUPDATE_HOOK \
    -DSQLITE_ENABLE_UNLOCK_NOTIFY -DSQLITE_SECURE_DELETE=0 -DHAVE_FDATASYNC=1 -DHAVE_GMTIME_R=1 -DHAVE_LOCALTIME_R=1 \
    -DHAVE_MALLOC_USABLE_SIZE=1 -DHAVE_STRCHRNUL=1 -DHAVE_USLEEP=1 -DHAVE_PREAD=1 -DHAVE_PWRITE=1 -- sqlite3.c
cp sqlite3.h sqlite3ext.h $out/include/
