# The profiles: an interpreter that counts, what it counts, and the sum → out/NAME.profdata, NAME of functions (the programs
# beside this file: what a Lambda function does), cpython (CPython's own choice of its tests) and both. And → out/start: the
# functions that run while an interpreter and the SDK start.
# A part of cpython.sh, after configure. In: `build`, $out, $harden; /imgbuild/llvm; /imgbuild/files/wheels: the SDK.

llvm=$(cd /imgbuild/llvm && echo usr/lib/llvm-*)
profdata() { packaged /imgbuild/llvm "$llvm/bin/llvm-profdata" "$@"; }
# With the usual number of counters per call site the interpreter warns on stderr when they run out, which fails tests.
profiled='-fprofile-generate -mllvm -vp-counters-per-site=8'
harden="$harden -Wl,-u,__llvm_profile_runtime $(echo /imgbuild/llvm/$llvm/lib/clang/*/lib/linux/libclang_rt.profile-${TARGET%%-*}.a)"
# What the build itself runs counts for nothing.
export LLVM_PROFILE_FILE=/dev/null
build all

program=$PWD/python
site=/tmp/site
mkdir $site
for wheel in /imgbuild/files/wheels/*.whl; do $program -m zipfile -e "$wheel" $site; done
cp -r /imgbuild/files/training /tmp/training
export PYTHONPATH=$site
# Bytecode is there when a function starts.
$program -m compileall -q $site /tmp/training
$program -m compileall -q Lib >/dev/null || :

counts=/tmp/counts
export LLVM_PROFILE_FILE=$counts/functions-%2m.profraw
repeat() {
    times=$1
    shift
    for _ in $(seq "$times"); do "$@"; done
}
cd /tmp/training
for statement in pass 'import json, os, re' 'import logging, asyncio' 'import boto3' 'import dataclasses, typing, enum, decimal, datetime' \
    'import sqlite3, urllib.request, http.client, email, xml.etree.ElementTree' 'import boto3; boto3.client("s3", region_name="eu-west-1")'; do
    repeat 15 $program -c "$statement"
done
repeat 15 $program -I -S -c pass
$program events.py 1000
$program objects.py 500
$program texts.py 500
$program concurrency.py 150
$program logs.py 800
$program sdk.py 150

cd /imgbuild/src
export LLVM_PROFILE_FILE=$counts/cpython-%2m.profraw
# A test that the sandbox does not let pass has still shown what the interpreter does.
PYTHONPATH= $program -m test --pgo --timeout 600 -j "$JOBS" || echo "train.sh: not every test passed"

cd /tmp/training
export LLVM_PROFILE_FILE=$counts/start-%m.profraw
for statement in pass 'import boto3; boto3.client("s3", region_name="eu-west-1")'; do $program -c "$statement"; done

unset LLVM_PROFILE_FILE
profdata merge -o $out/functions.profdata $counts/functions-*.profraw
profdata merge -o $out/cpython.profdata $counts/cpython-*.profraw
profdata merge -o $out/both.profdata --weighted-input=4,$out/functions.profdata --weighted-input=1,$out/cpython.profdata
profdata merge -o /tmp/start.profdata $counts/start-*.profraw
profdata show --all-functions --counts /tmp/start.profdata |
    awk '/^  [^ ]/ { sub(/.*;/, ""); sub(/:$/, ""); name = $1 } /Block counts: .*[1-9]/ { print name }' | sort -u >$out/start
[ -s $out/start ]
