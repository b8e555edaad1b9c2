"""What an interpreter of another kind says of itself."""

import sys
import sysconfig
import threading
import time


def count():
    total = 0
    for number in range(3_000_000):
        total += number
    return total


def parallel():
    """Seconds of computing per second of waiting, with two threads."""
    wall, busy = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.process_time() - busy) / (time.perf_counter() - wall)


def gil():
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def handler(event, context):
    before = gil()
    import boto3

    boto3.client("s3", region_name="eu-west-1")
    try:
        import setuptools

        setuptools_version = setuptools.__version__
    except ImportError:
        setuptools_version = None
    return {
        "version": "%d.%d" % sys.version_info[:2],
        "gil": before,
        "gil_after_boto3": gil(),
        "parallel": parallel(),
        "jit": "_Py_JIT" in sysconfig.get_config_var("PY_CORE_CFLAGS"),
        "boto3": boto3.__file__,
        "setuptools": setuptools_version,
        "text": "こ",
    }
