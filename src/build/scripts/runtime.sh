#!/bin/sh
# The runtime's Python files → out/var/runtime, with bytecode.
# In: /imgbuild/files/runtime, what people import; /imgbuild/files/parts, what the executable carries as text and reads from
#     _lambda_ric as bytecode, which saves compiling it at each start; cpython.sh's tree at $PREFIX and its out/host; VERSION.
set -eu

python=/imgbuild/host/python$(echo "$VERSION" | cut -d. -f1,2)
out=/imgbuild/out/var/runtime
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
mkdir -p $out
cp -r /imgbuild/files/runtime/. $out/
"$python" -m compileall -q -j1 --invalidation-mode unchecked-hash -s /imgbuild/out -p / $out
mkdir $out/_lambda_ric
cp /imgbuild/files/parts/*.py $out/_lambda_ric/
"$python" -m compileall -q -j1 -b --invalidation-mode unchecked-hash -d '<_lambda_ric' $out/_lambda_ric
rm $out/_lambda_ric/*.py
