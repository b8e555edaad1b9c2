"""Builds the same image again and again under other circumstances, and shows the first byte that is not the same.

    tests/repro.py IMGBUILD [BUILD…]

The builds (all of them when none is named), each compared with one that uses the user's own cache:

| build | cache | inputs | what else is different |
| --- | --- | --- | --- |
| again | what compilers made is kept; bytecode, tars, gzip, documents and the lock are made again | cached | time zone, language, umask, HOME, depth of the folder, host name, one core, a year later |
| cold | empty | a mirror folder | the same, and another user, who owns nothing |
| tmpfs | empty, on a tmpfs | their origins | another time zone, umask 000, more jobs than cores |
| base | as again | the base from a registry of this machine; then, compared with that, from a mirror folder without a network | nothing |

Compared are the manifest's digest (and by it all layers and the configuration), the papers beside the layout (of the provenance
all but the places that inputs came from), and the lock that each writes. What needs root (another user, host name, tmpfs) is left out, and said, when started without.
"""

import contextlib
import dataclasses
import gzip
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

RECIPE = "python3.13"
EPOCH = "1790000000"
# Bytecode of three parts and their layers: a build that makes less compares the cache with itself.
FEWEST = 6
ROOT = os.geteuid() == 0
# What a compiler made; everything else is quick.
COMPILED = ("cpython-3", "openssl-", "sqlite-", "ncurses-", "xz-", "zlib-", "bzip2-", "expat-", "libedit-", "libffi-", "libuuid-", "mpdecimal-",
            "zstd-", "executable-", "runtime-interface-client-")


@dataclasses.dataclass
class Build:
    name: str
    environment: dict
    wrappers: list
    arguments: list
    umask: int
    folder: str
    is_online: bool
    user: int = 0


def main():
    imgbuild = pathlib.Path(sys.argv[1]).resolve()
    source = pathlib.Path(__file__).resolve().parent.parent
    named = sys.argv[2:]
    cache = pathlib.Path(os.environ.get("IMGBUILD_CACHE") or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "imgbuild")
    subprocess.run([imgbuild, "build", RECIPE, "--quiet", "--output", source / "dist"], check=True, stdout=subprocess.DEVNULL, cwd=source)
    # Beside the cache, so that its files can be linked; a user without rights needs a way to it.
    work = pathlib.Path(tempfile.mkdtemp(prefix="imgbuild-repro.", dir=cache.parent if os.access(cache.parent, os.W_OK) and not ROOT else "/var/tmp"))
    try:
        os.chmod(work, 0o755)
        program = work / "imgbuild"
        shutil.copy2(imgbuild, program)
        sys.exit(compare(program, source, cache, work, named))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def compare(program, source, cache, work, named):
    plain = Build("reference", {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}, [], ["--cache-dir", cache], 0o022, "plain", True)
    expected = run(plain, program, source, work)
    print(f"reference  {expected['digest']}", flush=True)
    failed = False
    named = named or ["again", "cold", "tmpfs", "base"]
    for build in builds(cache, work, named):
        got = run(build, program, source, work)
        said(build, got)
        failed |= report(build, expected, got, program, cache)
    if "base" in named and not (there("docker-registry") and there("skopeo")):
        print("left out: a base from a registry (apt-get install docker-registry skopeo)", flush=True)
    elif "base" in named:
        failed |= bases(program, source, cache, work, expected["layout"])
    print("different" if failed else "the same bytes everywhere")
    return int(failed)


def said(build, got):
    print(f"{build.name:10} {got['digest']} {got['steps']} steps", flush=True)
    if got["steps"] < FEWEST:
        sys.exit(f"{build.name}: only {got['steps']} steps were made again, which proves nothing")


def bases(program, source, cache, work, layout):
    """Builds on a base that a registry gives, and on the same from a mirror folder; returns whether anything differs."""
    home = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    folder = work / "definitions"
    for name in ("recipes", "images"):
        shutil.copytree(source / name, folder / name)
    with registry(work / "registry") as host:
        reference = push_base(layout, host, work / "base")
        definition = folder / "images" / "al2023.yaml"
        text = definition.read_text()
        text = re.sub(r"reference: .*", f"reference: {reference}", text)
        text = re.sub(r"os_release: .*", 'os_release: {ID: debian, VERSION_ID: "12"}', text)
        definition.write_text(text)
        subprocess.run([program, "lock", f"./recipes/{RECIPE}.yaml", "--quiet", "--cache-dir", cache], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        pulled = forgetful(cache, work / "registry-cache")
        build = Build("registry", home, [], ["--cache-dir", pulled], 0o022, "r", False)
        expected = run(build, program, folder, work)
        said(build, expected)
    blobs = work / "base-mirror"
    blobs.mkdir()
    for blob in (work / "base" / "blobs" / "sha256").iterdir():
        shutil.copy2(blob, blobs)
    alone = ["unshare", "--net", *([] if ROOT else ["--user", "--map-current-user"])]
    # The same cache again, which has to ask for the base again, too.
    forget(pulled)
    for blob in blobs.iterdir():
        (pulled / "blobs" / "sha256" / blob.name).unlink()
    arguments = ["--cache-dir", pulled, "--mirror", blobs]
    build = Build("mirror", home, alone, arguments, 0o022, "m", False)
    got = run(build, program, folder, work)
    said(build, got)
    return report(build, expected, got, program, cache)


@contextlib.contextmanager
def registry(folder):
    """A docker-registry of this machine; gives its address."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder}\nhttp:\n  addr: {host}\n")
    server = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as line:
                if line.connect_ex(("127.0.0.1", int(host.split(":")[1]))) == 0:
                    break
            time.sleep(0.1)
        yield host
    finally:
        server.kill()
        server.wait()


def push_base(layout, host, folder):
    """Makes an image of the lowest layer of a built one, whose C library says that it is the recipe's; returns its reference."""
    def document(descriptor):
        return json.loads((layout / "blobs" / "sha256" / descriptor["digest"].split(":")[1]).read_text())

    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(kind, data):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    manifest = document(json.loads((layout / "index.json").read_text())["manifests"][0])
    lowest = (layout / "blobs" / "sha256" / manifest["layers"][0]["digest"].split(":")[1]).read_bytes()
    tar = gzip.decompress(lowest).replace(b"release version 2.36", b"release version 2.34")
    layer = blob("layer.v1.tar+gzip", gzip.compress(tar, 1, mtime=0))
    config = {key: value for key, value in document(manifest["config"]).items() if key in ("architecture", "os")}
    config |= {"config": {}, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]}}
    config = blob("config.v1+json", json.dumps(config).encode())
    image = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]}
    top = blob("manifest.v1+json", json.dumps(image).encode())
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    subprocess.run(["skopeo", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", f"oci:{folder}", f"docker://{host}/base:1"], check=True)
    return f"{host}/base@{top['digest']}"


def builds(cache, work, named):
    elsewhere = {"TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "HOME": str(work / "home"), "PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(work / "nowhere")}
    year = ["faketime", "-f", "+1y"] if there("faketime") else []
    elsewhere |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1"} if year else {}
    other_host = ["unshare", "--uts", "sh", "-ec", 'hostname elsewhere; exec "$@"', "sh"] if ROOT else []
    one_core = ["taskset", "--cpu-list", "0"]
    deep = "/".join(["a folder with a long name"] * 6)
    if "again" in named:
        yield Build("again", elsewhere, other_host + one_core + year, ["--cache-dir", forgetful(cache, work / "again-cache"), "--jobs", "1"], 0o077, deep, False)
    nobody = 65534 if ROOT else 0
    user = ["setpriv", "--reuid", str(nobody), "--regid", str(nobody), "--clear-groups"] if nobody else []
    if "cold" in named:
        cold = ["--cache-dir", work / "cold" / "cache", "--mirror", mirror(cache, work / "mirror"), "--jobs", "1"]
        yield Build("cold", elsewhere, other_host + one_core + user + year, cold, 0o077, deep, False, nobody)
    tmpfs = []
    if ROOT:
        (work / "memory").mkdir()
        tmpfs = ["unshare", "--mount", "sh", "-ec", 'mount -t tmpfs -o size=8g none "$0"; exec "$@"', work / "memory"]
    home = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "TZ": "America/St_Johns", "LANG": "C"}
    if "tmpfs" in named:
        yield Build("tmpfs", home, tmpfs, ["--cache-dir", work / "memory" / "cache", "--jobs", "7"], 0o000, "t", True)
    for what, is_there in [("a year later (apt-get install faketime)", year), ("another user, host name and a tmpfs (start it as root)", ROOT)]:
        if not is_there:
            print(f"left out: {what}", flush=True)


def run(build, program, source, work):
    """Builds in a copy of the definitions; returns the digest, the layout, and the texts of the lock and the papers."""
    home = work / build.name
    folder = home / build.folder
    folder.mkdir(parents=True)
    (work / "home").mkdir(exist_ok=True)
    for name in ("recipes", "images"):
        shutil.copytree(source / name, folder / name)
    output = home / "dist"
    if build.user:
        for place in [home, work / "home"]:
            subprocess.run(["chown", "-R", f"{build.user}:{build.user}", place], check=True)
            os.chmod(place, 0o755)
    recipe = f"./recipes/{RECIPE}.yaml"
    wrapped = [*build.wrappers, program]

    def call(*arguments, **more):
        done = subprocess.run([*wrapped, *arguments], cwd=folder, env={**build.environment, **more}, umask=build.umask, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{build.name}: {' '.join(map(str, arguments))} failed\n{done.stderr[-4000:]}")
        return done

    done = call("build", recipe, "--format", "json", "--output", output, *build.arguments)
    steps = re.search(r"(\d+) steps in", done.stderr)
    result = {"digest": json.loads(done.stdout)["digest"], "layout": output / RECIPE, "steps": int(steps[1]) if steps else 0}
    result["papers"] = {path.name: paper(path.read_bytes()) for path in sorted(output.glob("*.json"))}
    # A lock keeps what it has: without one, pip and apt are asked for all of it.
    if build.is_online or build.name == "again":
        without_faketime = [word for word in build.wrappers if word not in ("faketime", "-f", "+1y")]
        wrapped[:] = [*without_faketime, program]
        (folder / "recipes" / f"{RECIPE}.lock").unlink()
        call("lock", recipe, "--quiet", *build.arguments[:2], SOURCE_DATE_EPOCH=EPOCH)
        result["papers"][f"{RECIPE}.lock"] = (folder / "recipes" / f"{RECIPE}.lock").read_bytes()
    return result


def paper(text):
    """A document's bytes; of a provenance without the places that inputs came from, which are what was different."""
    document = json.loads(text)
    if "predicate" not in document:
        return text
    for dependency in document["predicate"]["buildDefinition"]["resolvedDependencies"]:
        dependency.pop("uri", None)
        dependency["annotations"].pop("from")
    return json.dumps(document).encode()


def report(build, expected, got, program, cache):
    """Says what differs; returns whether anything does."""
    failed = expected["digest"] != got["digest"]
    if failed:
        told = subprocess.run([program, "diff", expected["layout"], got["layout"], "--cache-dir", cache], stdout=subprocess.PIPE, text=True)
        print(f"{build.name}: another image\n{told.stdout}", flush=True)
    for name in sorted(expected["papers"].keys() | got["papers"].keys()):
        if name.endswith(".lock") and name not in got["papers"]:
            continue
        old, new = expected["papers"].get(name), got["papers"].get(name)
        if old == new:
            continue
        failed = True
        if old is None or new is None:
            print(f"{build.name}: {name} is there only once")
            continue
        at = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), min(len(old), len(new)))
        print(f"{build.name}: {name} differs from byte {at}: {old[max(0, at - 40):at + 40]!r} became {new[max(0, at - 40):at + 40]!r}", flush=True)
    return failed


def forgetful(cache, copy):
    """A copy of the cache that knows what compilers made, and has to make all else again."""
    copy.mkdir()
    for part in ("blobs", "steps", "resolved", "apt", "unpacked", "logs"):
        if (cache / part).exists():
            link(cache / part, copy / part)
    return forget(copy)


def forget(copy):
    """Forgets all steps but the compilers'."""
    keys = {path.stem.rsplit("-", 1)[1] for path in (copy / "logs").glob("*.log") if path.name.startswith(COMPILED)}
    for step in (copy / "steps").rglob("*.json"):
        # A log's name has the first digits of its step's key.
        if step.stem[:12] not in keys:
            step.unlink()
    return copy


def mirror(cache, copy):
    link(cache / "blobs" / "sha256", copy)
    return copy


def link(source, target):
    """A tree with the same files; copies where the file system is another one."""
    linked = subprocess.run(["cp", "-al", source, target], stderr=subprocess.DEVNULL)
    if linked.returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", source, target], check=True)


def there(program):
    return shutil.which(program) is not None


if __name__ == "__main__":
    main()
