#!/bin/sh
# Times what a user waits for, with the inputs on this machine: a build with nothing to do, and one with another boto3.
# Prints seconds, and the peak memory of imgbuild and of each program that it starts.
#   tests/bench.sh IMGBUILD
# A cold build prints its own times: imgbuild python3.13 --cache-dir "$(mktemp -d)"
set -eu

imgbuild=$(realpath "$1")
cache=${IMGBUILD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/imgbuild}
"$imgbuild" build python3.13 --quiet >/dev/null 2>&1
# Beside the cache, so that its files can be linked.
work=$(mktemp -d "$cache/bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/store"
for part in blobs steps resolved apt unpacked logs; do cp -al "$cache/$part" "$work/store/"; done
cp -r recipes images "$work"
cd "$work"
build() { "$imgbuild" build ./recipes/python3.13.yaml --cache-dir "$work/store" "$@"; }

measure() {
    title=$1
    shift
    python3 - "$title" "$imgbuild" build ./recipes/python3.13.yaml --cache-dir "$work/store" "$@" <<'PYTHON'
import resource, subprocess, sys, time
started = time.monotonic()
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds = time.monotonic() - started
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{sys.argv[1]:20} {seconds:6.2f} s {peak:6.0f} MB")
PYTHON
}

build --quiet >/dev/null 2>&1
measure 'nothing changed'
sed -i 's/boto3: "1.44.5"/boto3: "1.44.4"/' recipes/python3.13.yaml
"$imgbuild" lock ./recipes/python3.13.yaml --quiet >/dev/null
# Once to have the wheels; then what it made of them is forgotten.
build --quiet >/dev/null 2>&1
for log in store/logs/sdk-for-cpython-*.log; do
    key=${log##*-}
    rm -f store/steps/"${key%.log}"*.json
done
layer=$(python3 -c '
import json
blob = lambda digest: json.load(open("dist/python3.13/blobs/sha256/" + digest[7:]))
index = json.load(open("dist/python3.13/index.json"))
print(blob(index["manifests"][0]["digest"])["layers"][2]["digest"])')
grep -l "$layer" store/steps/*.json | xargs rm
measure 'another boto3' --output other
