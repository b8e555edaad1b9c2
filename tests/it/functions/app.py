"""Functions that the tests invoke."""

import os
import sys
import time


def echo(event, context):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    return {
        "event": event,
        "request": context.aws_request_id,
        "remaining": context.get_remaining_time_in_millis(),
        "executable": sys.executable,
        "path": sys.path[0],
        "colour": os.environ.get("COLOUR"),
    }


def fail(event, context):
    raise ValueError("no such thing")


def slow(event, context):
    time.sleep(30)


def memory(event, context):
    """As much as the event says, in pieces; then what it knows of its limit."""
    pieces = [bytes([1]) * (1 << 20) for _ in range(event["megabytes"])]
    return [len(pieces), context.memory_limit_in_mb]


def processes(event, context):
    """More and more, each of which would outlive its parent."""
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)


def disk(event, context):
    """Where something can be written, and how many bytes."""
    written = {}
    for folder in ("/tmp", "/dev", "/dev/shm", "/var/task", "/"):
        path = os.path.join(folder, "large")
        try:
            with open(path, "wb") as file:
                written[folder] = 0
                while written[folder] < 600:
                    file.write(bytes(1 << 20))
                    file.flush()
                    written[folder] += 1
        except OSError as error:
            written[folder] = [written.get(folder), error.strerror]
    return written


def murder(event, context):
    """Ends the emulator's watch over the time, and goes on."""
    import signal

    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(600)


def files(event, context):
    with open("/tmp/mine", "w") as file:
        file.write("writable")
    try:
        open("/var/task/theirs", "w")
    except OSError as error:
        return error.strerror


def interpreter(event, context):
    """What the built interpreter says of itself, and the modules that must be there."""
    import bz2, ctypes, curses, decimal, hashlib, lzma, readline, sqlite3, ssl, sysconfig, uuid, zlib

    database = sqlite3.connect(":memory:")
    database.enable_load_extension(True)
    database.execute("create virtual table words using fts5(word)")
    database.execute("insert into words values ('hello')")
    found = database.execute("select count(*) from words where words match 'hello'").fetchone()[0]
    libc = ctypes.CDLL(None)
    return {
        "version": sys.version.split()[0],
        "gil": sys._is_gil_enabled(),
        "free_threaded": sysconfig.get_config_var("Py_GIL_DISABLED"),
        "jit": "--enable-experimental-jit" in sysconfig.get_config_var("CONFIG_ARGS").replace("--enable-experimental-jit=no", ""),
        "compiler": sysconfig.get_config_var("CC"),
        "build_paths": [key for key, value in sysconfig.get_config_vars().items() if "/imgbuild" in str(value) or "zig" in str(value)],
        "suffix": sysconfig.get_config_var("EXT_SUFFIX"),
        "openssl": ssl.OPENSSL_VERSION,
        "certificates": len(ssl.create_default_context().get_ca_certs()),
        "fts5": found,
        "pid": libc.getpid() > 0,
        "sha256": hashlib.sha256(b"abc").hexdigest()[:8],
        "lzma": lzma.decompress(lzma.compress(b"x")) == bz2.decompress(bz2.compress(b"x")) == zlib.decompress(zlib.compress(b"x")),
        "decimal": str(decimal.Decimal("1.10") + 1),
        "readline": readline.backend,
        "curses": curses.version.decode(),
        "uuid": uuid.uuid1().version,
    }
