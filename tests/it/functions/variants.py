"""What an interpreter of another kind says of itself."""

import sys
import sysconfig


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
        "jit": "_Py_JIT" in sysconfig.get_config_var("PY_CORE_CFLAGS"),
        "boto3": boto3.__file__,
        "setuptools": setuptools_version,
        "text": "こ",
    }
