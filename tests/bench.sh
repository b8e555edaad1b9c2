#!/bin/sh
# Times what a user waits for: a build with nothing to do and one with another boto3; and the peak memory of both.
#   tests/bench.sh IMGBUILD
# A cold build prints its own times: `imgbuild python3.13 --cache-dir "$(mktemp -d)"`.
set -eu

imgbuild=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r recipes images "$work"
cd "$work"

measure() {
    title=$1
    shift
    /usr/bin/env python3 - "$title" "$@" <<'PYTHON'
import resource, subprocess, sys, time
started = time.monotonic()
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds = time.monotonic() - started
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{sys.argv[1]:28} {seconds:6.2f} s {peak:6.0f} MB")
PYTHON
}

"$imgbuild" build ./recipes/python3.13.yaml --quiet >/dev/null
measure 'nothing changed' "$imgbuild" build ./recipes/python3.13.yaml
sed -i 's/boto3: "1.44.5"/boto3: "1.44.4"/' recipes/python3.13.yaml
"$imgbuild" lock ./recipes/python3.13.yaml --quiet
measure 'another boto3' "$imgbuild" build ./recipes/python3.13.yaml --output other
