"""Times pushes of a built image into docker-registry on this machine, ours against `skopeo copy`, in the same run.

    tests/bench_push.py IMGBUILD [LAYOUT]

Three cases: an empty registry, one that has the image, one that lacks a single layer of 5 MB. Prints the median wall time
of RUNS runs, taken in turns, and what one more run of each sends through a proxy that counts bytes and requests.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from io import BytesIO
from pathlib import Path

RUNS = 7
NEW_LAYER = 5_000_000
REQUEST = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE) /\S* HTTP/1\.1\r\n")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Registry:
    """docker-registry with its data in a folder."""

    def __init__(self, folder):
        self.data = folder / "data"
        self.address = f"127.0.0.1:{free_port()}"
        config = folder / "config.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.data}}}}}\nhttp: {{addr: '{self.address}'}}\n"
        )
        self.server = subprocess.Popen(["docker-registry", "serve", config], stderr=subprocess.DEVNULL)
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(tuple_of(self.address)) == 0:
                    return
            time.sleep(0.02)
        sys.exit("docker-registry does not start")

    def forget(self):
        shutil.rmtree(self.data, ignore_errors=True)


def tuple_of(address):
    host, port = address.split(":")
    return host, int(port)


class Counter:
    """A proxy that counts what is sent to a server."""

    def __init__(self, server):
        self.server, self.sent, self.requests = server, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(tuple_of(self.server))
            threading.Thread(target=self.carry, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.carry, args=(server, client, False), daemon=True).start()

    def carry(self, source, target, counts):
        try:
            while data := source.recv(1 << 16):
                if counts:
                    self.sent += len(data)
                    self.requests += len(REQUEST.findall(data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Image:
    """A layout with one image."""

    def __init__(self, layout):
        self.layout = layout
        index = json.loads((layout / "index.json").read_text())
        self.descriptor = index["manifests"][0]
        self.tag = self.descriptor["annotations"]["org.opencontainers.image.ref.name"]

    def blob(self, digest):
        return self.layout / "blobs/sha256" / digest.removeprefix("sha256:")

    def with_layer(self, to):
        """The same with one more layer, of random bytes."""
        shutil.copytree(self.layout, to, copy_function=os.link)
        manifest = json.loads(self.blob(self.descriptor["digest"]).read_bytes())
        config = json.loads(self.blob(manifest["config"]["digest"]).read_bytes())
        tar = BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            member = tarfile.TarInfo("opt/new")
            member.size = NEW_LAYER
            archive.addfile(member, BytesIO(os.urandom(NEW_LAYER)))

        def put(data, like):
            digest = hashlib.sha256(data).hexdigest()
            (to / "blobs/sha256" / digest).write_bytes(data)
            return {**like, "digest": "sha256:" + digest, "size": len(data)}

        layer = put(gzip.compress(tar.getvalue(), 1), {"mediaType": manifest["layers"][0]["mediaType"]})
        config["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(tar.getvalue()).hexdigest())
        config["history"].append({"created_by": "bench"})
        manifest["config"] = put(json.dumps(config).encode(), manifest["config"])
        manifest["layers"].append(layer)
        index = json.loads((self.layout / "index.json").read_text())
        index["manifests"][0] = put(json.dumps(manifest).encode(), self.descriptor)
        (to / "index.json").unlink()
        (to / "index.json").write_text(json.dumps(index))
        return Image(to)


def main():
    imgbuild = Path(sys.argv[1]).resolve()
    image = Image(Path(sys.argv[2] if len(sys.argv) > 2 else "dist/python3.13").resolve())
    # Beside the layout, so that its blobs can be linked.
    with tempfile.TemporaryDirectory(dir=image.layout.parent, prefix=".bench-push-") as folder:
        folder = Path(folder)
        registry = Registry(folder)
        try:
            bench(imgbuild, image, registry, folder)
        finally:
            registry.server.terminate()
            registry.server.wait()


def bench(imgbuild, image, registry, folder):
    def ours(image, address):
        return [imgbuild, "push", image.layout, f"{address}/team/python:1", "--allow-fallback", "--quiet"]

    def skopeo(image, address):
        source, target = f"oci:{image.layout}:{image.tag}", f"docker://{address}/team/python:1"
        return ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", source, target]

    def run(command):
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - started

    variants = iter([image.with_layer(folder / f"variant-{i}") for i in range(2 * RUNS + 2)])

    def first(push, address):
        registry.forget()
        return push(image, address)

    def nothing(push, address):
        run(ours(image, registry.address))
        return push(image, address)

    def layer(push, address):
        run(ours(image, registry.address))
        return push(next(variants), address)

    programs = {"imgbuild": ours, "skopeo": skopeo}
    print(f"{'push':16} {'program':9} {'median s':>9} {'min s':>7} {'MB sent':>9} {'requests':>9} {'ratio':>6}")
    for title, case in [("first", first), ("nothing new", nothing), ("one new layer", layer)]:
        times = {name: [] for name in programs}
        for _ in range(RUNS):
            for name, push in programs.items():
                times[name].append(run(case(push, registry.address)))
        reference = statistics.median(times["skopeo"])
        for name, push in programs.items():
            counter = Counter(registry.address)
            run(case(push, counter.address))
            median = statistics.median(times[name])
            sent, ratio = counter.sent / 1e6, median / reference
            print(f"{title:16} {name:9} {median:9.3f} {min(times[name]):7.3f} {sent:9.3f} {counter.requests:9} {ratio:6.2f}")


if __name__ == "__main__":
    main()
