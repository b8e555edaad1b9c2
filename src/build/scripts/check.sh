#!/bin/sh
# Asks a built interpreter whether it is what the recipe says; there is no output.
# In: cpython.sh's tree at $PREFIX and its out/host at /imgbuild/host; /imgbuild/files/check.py; VERSION, JIT, FREE_THREADING and
#     MODULES, what has to be built in; EMULATOR, the command that runs another machine's programs, empty for this machine's own.
set -eu

$EMULATOR "/imgbuild/host/python$(echo "$VERSION" | cut -d. -f1,2)" -B /imgbuild/files/check.py
