"""Compares the interpreter of a built image with Debian's own and with a plain build by gcc, in one run, in turns.

    tests/bench_python.py DIST [ROUNDS] [NAME=PROGRAM…]

DIST holds built images: python3.13, and beside it those with a JIT, which is switched on, and without the lock, if they are there.
Debian's is the python3.13 of trixie; the plain one is what `./configure && make` makes of the source that the image is made of.
NAME=PROGRAM adds an interpreter, such as one that was compiled with another profile: the file bin/python3.13 with its lib beside bin.
All of them run in one root file system, trixie's, where the benchmarks of pyperformance and three kinds of start take turns. Prints
the best time of each, what the others need for the same, and geometric means. BENCH_FOLDER keeps what is prepared
[target/bench-python].
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = Path(os.environ.get("BENCH_FOLDER", HERE.parent / "target/bench-python"))
SERIES = "3.13"
PYPERFORMANCE = "pyperformance==1.14.0"
BUDGET = "0.3"
IMAGES = {"ours": "python3.13", "jit": "python3.13-jit", "no lock": "python3.13-freethreaded"}


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr, **options)


def once(name, make):
    """A folder that is made once: what is half done has another name."""
    path = FOLDER / name
    if not path.exists():
        half = FOLDER / f"{name}.half"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        make(half)
        half.rename(path)
    return path


def debian(root):
    """trixie with its python3.13, unpacked; its installation scripts would compile the bytecode."""
    packages = f"python{SERIES},libsqlite3-0,ca-certificates"
    run("mmdebstrap", "--quiet", "--variant=extract", f"--include={packages}", "trixie", root)
    for name in "bin", "lib", "lib64", "sbin":
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    sandbox = ["bwrap", "--bind", root, "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    # Templates for Python 2 cannot be compiled, and nothing imports them.
    subprocess.run([*map(str, sandbox), f"/usr/bin/python{SERIES}", "-m", "compileall", "-qq", f"/usr/lib/python{SERIES}"])


def benchmarks(folder):
    run("pip", "download", "--quiet", "--no-deps", "--dest", folder, PYPERFORMANCE)
    run("python3", "-m", "zipfile", "-e", *folder.glob("*.whl"), folder / "wheel")
    shutil.move(folder / "wheel/pyperformance/data-files/benchmarks", folder / "benchmarks")


def plain(source):
    """`./configure && make` with gcc, installed below the folder."""

    def make(folder):
        build = folder / "build"
        build.mkdir()
        run("tar", "xf", source, "-C", build, "--strip-components=1")
        run("./configure", "--quiet", "--prefix=/bench/plain", cwd=build)
        run("make", "-s", f"-j{os.cpu_count()}", cwd=build)
        run("make", "-s", "install", f"DESTDIR={folder}", cwd=build)
        run("sh", "-c", f"mv {folder}/bench/plain/* {folder}")
        shutil.rmtree(build)

    return make


def source(version):
    """The source that the image is made of, from the store."""
    lock = (HERE.parent / f"recipes/python{SERIES}.lock").read_text().partition("\ncpython:")[2]
    digest = re.search(rf"version: {re.escape(version)}\n +sha256: sha256:([0-9a-f]+)", lock)[1]
    cache = os.environ.get("IMGBUILD_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imgbuild"
    return Path(cache) / "blobs/sha256" / digest


def blob(layout, digest):
    return json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())


def labels(layout):
    index = json.loads((layout / "index.json").read_text())["manifests"][0]
    return blob(layout, blob(layout, index["digest"])["config"]["digest"])["config"]["Labels"]


def unpacked(layout):
    """The root of an image, unpacked again when the image is another one."""
    index = json.loads((layout / "index.json").read_text())["manifests"][0]
    digest = index["digest"].split(":")[1][:16]

    def unpack(folder):
        tag = index["annotations"]["org.opencontainers.image.ref.name"]
        run("umoci", "unpack", "--rootless", "--image", f"{layout}:{tag}", folder / "bundle")

    return once(f"{layout.name}-{digest}", unpack) / "bundle/rootfs"


def table(times, names):
    """times: {what: {who: seconds}}, each the best one."""
    first, *others = names
    print(f"{'':34}{first:>12}" + "".join(f"{name:>12}" for name in others))
    groups = {"start": {}, "benchmarks": {}}
    for what in sorted(times):
        found = times[what]
        if first not in found:
            continue
        cells = [f"{found[name] / found[first]:11.3f}×" if name in found else f"{'-':>12}" for name in others]
        print(f"{what:34}{found[first] * 1e3:9.3f} ms" + "".join(cells))
        for name in others:
            if name in found:
                kind = "start" if what.startswith("start") else "benchmarks"
                groups[kind].setdefault(name, []).append(found[name] / found[first])
    for kind, ratios in groups.items():
        mean = {name: math.exp(sum(map(math.log, values)) / len(values)) for name, values in ratios.items()}
        worst = {name: min(values) for name, values in ratios.items()}
        print(f"{kind + ', geometric mean':46}" + "".join(f"{mean[name]:11.3f}×" if name in mean else f"{'-':>12}" for name in others))
        print(f"{kind + ', where they are best':46}" + "".join(f"{worst[name]:11.3f}×" if name in worst else f"{'-':>12}" for name in others))
    print(f"\n{first} in milliseconds; of the others, how many times as long they take.")


def main():
    arguments = sys.argv[1:]
    if not arguments:
        sys.exit(__doc__)
    dist = Path(arguments.pop(0))
    rounds = arguments.pop(0) if arguments and "=" not in arguments[0] else "3"
    root = once("trixie", debian)
    suites = once("pyperformance", benchmarks) / "benchmarks"
    binds = {"/bench/benchmarks": suites, "/bench/harness": HERE / "bench_python"}
    programs = {}
    for name, image in IMAGES.items():
        layout = dist / image
        if not layout.exists():
            continue
        place = f"/bench/{image}"
        image_root = unpacked(layout)
        binds[place] = image_root / "var/lang"
        programs[name] = f"{place}/bin/python{SERIES}"
        if name == "ours":
            binds["/bench/site"] = image_root / f"var/lang/lib/python{SERIES}/site-packages"
    if "ours" not in programs:
        sys.exit(f"{dist}/python3.13 is not built")
    programs["debian"] = f"/usr/bin/python{SERIES}"
    version = labels(dist / IMAGES["ours"])["io.imgbuild.python"]
    binds["/bench/plain"] = once(f"plain-{version}", plain(source(version)))
    programs["plain gcc"] = f"/bench/plain/bin/python{SERIES}"
    for argument in arguments:
        name, program = argument.split("=", 1)
        place = f"/bench/extra/{name}"
        binds[place] = Path(program).resolve().parent.parent
        programs[name] = f"{place}/bin/{Path(program).name}"
    for place in binds:
        (root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
    sandbox = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", root, "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    for place, path in binds.items():
        sandbox += ["--ro-bind", path, place]
    sandbox += ["--clearenv", "--setenv", "BUDGET", BUDGET, "--setenv", "PATH", "/usr/bin"]
    inside = [f"/usr/bin/python{SERIES}", "/bench/harness/inside.py", rounds, *(f"{name}={path}" for name, path in programs.items())]
    times = {}
    with subprocess.Popen([*map(str, sandbox), *inside], stdout=subprocess.PIPE, text=True) as measuring:
        for line in measuring.stdout:
            what, who, seconds = json.loads(line)
            found = times.setdefault(what, {})
            found[who] = min(found.get(who, math.inf), seconds)
    if measuring.returncode:
        sys.exit("the measurement failed")
    table(times, list(programs))


if __name__ == "__main__":
    main()
