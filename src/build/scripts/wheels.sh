#!/bin/sh
# Wheels → out$PREFIX: their packages in site-packages with bytecode, their commands in bin; or all of it → out$FOLDER.
# In: /imgbuild/files/*.whl, all that is to be installed, dependencies included; the tree of cpython.sh mounted at $PREFIX;
#     /imgbuild/host (its out/host); VERSION of CPython.
# The installer is the pip that CPython carries for ensurepip, so that installing pip itself is nothing special.
set -eu

series=$(echo "$VERSION" | cut -d. -f1,2)
export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PIP_CONFIG_FILE=/dev/null
"/imgbuild/host/python$series" - "$PREFIX/bin/python$series" <<'INSTALL'
import glob, os, sys, sysconfig

# Commands begin with the path of the interpreter that runs them in the image, not of the one that installs them.
sys.executable = sys.argv[1]
[bundled] = glob.glob(f"{sysconfig.get_path('stdlib')}/ensurepip/_bundled/pip-*.whl")
sys.path.insert(0, bundled)
from pip._internal.cli.main import main

wheels = sorted(glob.glob("/imgbuild/files/*.whl"))
folder = os.environ["FOLDER"]
place = [f"--target=/imgbuild/out{folder}"] if folder else ["--root=/imgbuild/out", f"--prefix={sys.prefix}"]
# By name and version rather than by file: pip would record the file's place as direct_url.json.
names = ["==".join(os.path.basename(wheel).split("-")[:2]) for wheel in wheels]
sys.exit(main(["install", "--isolated", "--no-index", "--find-links=/imgbuild/files", "--no-deps", "--no-compile", "--no-cache-dir",
               "--ignore-installed", "--no-warn-script-location", "--disable-pip-version-check",
               *place, *names]))
INSTALL
# pip's launchers for Windows, which distributions' packages of it leave out, too.
for record in "/imgbuild/out$PREFIX"/lib/python*/site-packages/pip-*.dist-info/RECORD; do
    [ -e "$record" ] || continue
    rm -f "${record%/*/*}"/pip/_vendor/distlib/*.exe
    sed -i '/^pip\/_vendor\/distlib\/[^,]*\.exe,/d' "$record"
done
"/imgbuild/host/python$series" -m compileall -q -j1 --invalidation-mode unchecked-hash -s /imgbuild/out -p / \
    "/imgbuild/out${FOLDER:-$PREFIX/lib}"
chmod -R u=rwX,go=rX /imgbuild/out/*
