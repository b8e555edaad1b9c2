"""Time and peak memory of large images: many files, and many bytes.

    tests/scale.py IMGBUILD [FILES [MEGABYTES]]

Images of a tenth, three tenths and all of FILES empty files (1,000,000), of MEGABYTES of zeros in one file (20,000), which
compress to almost nothing, and of a quarter of MEGABYTES that do not compress at all, so that registry and disk see each of
them. Each is pushed to docker-registry, pulled from it, verified, and put below a Python image as its base. Fails above 300 MB.
"""

import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from bench_push import Registry

MOST = 300
# Deflate packs zeros a thousand to one: more than imgbuild takes from anybody who does not ask for it.
TRUST = ["--max-ratio", "2000", "--max-unpacked", "64GiB"]
ZEROS = bytes(1 << 20)
# Longer than what deflate remembers.
NOISE = random.Random(0).randbytes(1 << 20)


class Blob:
    """Writes a gzip layer as it comes, and knows both of its digests."""

    def __init__(self, path):
        self.file, self.plain, self.packed, self.size = open(path, "wb"), hashlib.sha256(), hashlib.sha256(), 0
        self.gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=self, mtime=0)

    def write(self, data):
        self.packed.update(data)
        self.size += len(data)
        return self.file.write(data)

    def put(self, data):
        self.plain.update(data)
        self.gzip.write(data)

    def close(self):
        self.gzip.close()
        self.file.close()

    def flush(self):
        pass


def layer(path, files, megabytes, content):
    """A layer of so many empty files, a hundred in a folder, and one file of so many megabytes of `content` again and again."""
    blob = Blob(path)
    member = tarfile.TarInfo
    header = lambda info: blob.put(info.tobuf(tarfile.USTAR_FORMAT))
    for number in range(files):
        if number % 100 == 0:
            info = member(f"usr/share/scale/{number // 10000:03}/{number // 100 % 100:02}")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            header(info)
        header(member(f"usr/share/scale/{number // 10000:03}/{number // 100 % 100:02}/file-{number:07}"))
    if megabytes:
        info = member("usr/share/scale.bin")
        info.size = megabytes * 1_000_000
        # Longer than the octal digits of a header.
        blob.put(info.tobuf(tarfile.GNU_FORMAT))
        left = info.size
        while left:
            blob.put(content[: min(len(content), left)])
            left -= min(len(content), left)
        blob.put(bytes(-info.size % 512))
    # What the interpreter is compiled for, so that no compiler has to run.
    banner = b"GNU C Library stable release version 2.34.\n"
    info = member("usr/lib64/libc.so.6")
    info.size = len(banner)
    header(info)
    blob.put(banner + bytes(-len(banner) % 512))
    blob.put(bytes(1024))
    blob.close()
    return blob


def blob_of(layout, digest):
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def write(layout, document):
    data = json.dumps(document).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    blob_of(layout, digest).write_bytes(data)
    return digest, len(data)


def image(layout, below, files, megabytes, content):
    """An OCI layout: the base layer of the layout `below`, and a large one on top."""
    (layout / "blobs" / "sha256").mkdir(parents=True)
    index = json.loads((below / "index.json").read_text())
    manifest = json.loads(blob_of(below, index["manifests"][0]["digest"]).read_text())
    config = json.loads(blob_of(below, manifest["config"]["digest"]).read_text())
    first = manifest["layers"][0]
    shutil.copyfile(blob_of(below, first["digest"]), blob_of(layout, first["digest"]))
    large = layer(layout / "large", files, megabytes, content)
    digest = "sha256:" + large.packed.hexdigest()
    os.rename(layout / "large", blob_of(layout, digest))
    config["rootfs"]["diff_ids"] = [config["rootfs"]["diff_ids"][0], "sha256:" + large.plain.hexdigest()]
    config["history"] = [{"created_by": "base"}, {"created_by": "scale"}]
    config["config"] = {"Cmd": ["/bin/bash"], "Labels": {}}
    name, size = write(layout, config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": name, "size": size},
        "layers": [first, {"mediaType": first["mediaType"], "digest": digest, "size": large.size}],
    }
    name, size = write(layout, manifest)
    entry = {"mediaType": manifest["mediaType"], "digest": name, "size": size}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return name


def measured(*command, refused=None):
    """Seconds, and the peak of the resident memory in MB: what the kernel says of the child that ended, well or with an
    error that says `refused`."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode()
        if child.returncode and (child.returncode != 1 or refused is None or refused not in text):
            sys.exit(f"{command}: {child.returncode}\n{text}")
    return time.monotonic() - started, usage.ru_maxrss / 1024


def definitions(imgbuild, folder, reference, cache):
    """The project's definitions, with the image at `reference` as the base that python3.13 is built on."""
    for name in ("recipes", "images"):
        shutil.copytree(name, folder / name)
    (folder / "images" / "al2023.yaml").write_text(
        "name: al2023\ntitle: Scale\nos_release: {ID: debian, VERSION_ID: '12'}\nglibc: '2.34'\n"
        f"image: {{version: '1', reference: '{reference}'}}\n"
    )
    recipe = folder / "recipes" / "python3.13.yaml"
    measured(imgbuild, "lock", recipe, *cache)
    return recipe


def row(imgbuild, work, registry, below, files=0, megabytes=0, content=ZEROS):
    name = f"{files:,} files" if files else f"{megabytes:,} MB {'noise' if content is NOISE else 'zeros'}"
    layout, target = work / "layout", f"{registry.address}/scale/image"
    digest = image(layout, below, files, megabytes, content)
    pulled, peaks = work / "pulled", []
    cache = ["--cache-dir", work / "cache"]
    print(f"{name:>18}", end=" ", flush=True)
    commands = [
        ("push", ["copy", layout, f"{target}:1"]),
        ("pull", ["copy", f"{target}:1", pulled]),
        ("verify", ["verify", pulled, "--target", "any"]),
        ("build", ["build", work / "recipes" / "python3.13.yaml", "--output", work / "dist", *cache]),
    ]
    for command, args in commands:
        if command == "build":
            definitions(imgbuild, work, f"{target}@{digest}", cache)
        # Lambda takes no more than 10 GB; whoever builds more hears so when it is built.
        refused = "more than 10000000000" if command == "build" and megabytes > 10_000 else None
        seconds, peak = measured(imgbuild, *args, *TRUST, refused=refused)
        peaks.append(peak)
        print(f"{seconds:8.1f} s {peak:5.0f} MB", end="  ", flush=True)
    print(flush=True)
    registry.forget()
    for folder in (layout, pulled, work / "dist", work / "recipes", work / "images"):
        shutil.rmtree(folder, ignore_errors=True)
    return max(peaks)


def main():
    imgbuild = Path(sys.argv[1]).resolve()
    files = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    megabytes = int(sys.argv[3]) if len(sys.argv) > 3 else 20_000
    below = Path("dist/python3.13")
    if not below.exists():
        sys.exit("make image first: its base is what the large layers lie on")
    store = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "imgbuild"
    print(f"{'':>18} {'push':^19}  {'pull':^19}  {'verify':^19}  {'base of a build':^19}")
    worst = 0
    # On the store's disk, so that what is built already can be linked.
    with tempfile.TemporaryDirectory(dir=store, prefix="scale.") as folder:
        work = Path(folder)
        (work / "cache").mkdir()
        for part in ("blobs", "steps", "resolved", "apt", "unpacked", "logs"):
            if (store / part).exists():
                subprocess.run(["cp", "-al", store / part, work / "cache"], check=True)
        registry = Registry(work)
        try:
            for size in (files // 10, files * 3 // 10, files):
                worst = max(worst, row(imgbuild, work, registry, below, files=size))
            for size in (megabytes // 10, megabytes * 3 // 10, megabytes):
                worst = max(worst, row(imgbuild, work, registry, below, megabytes=size))
            worst = max(worst, row(imgbuild, work, registry, below, megabytes=megabytes // 4, content=NOISE))
        finally:
            registry.server.kill()
    print(f"at most {worst:.0f} MB; the limit is {MOST} MB")
    sys.exit(worst > MOST)


if __name__ == "__main__":
    main()
