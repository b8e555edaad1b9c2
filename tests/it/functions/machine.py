"""What a function of another machine's image finds."""

import platform
import sys
import time


def handler(event, context):
    import decimal
    import sqlite3
    import ssl

    import boto3

    boto3.client("s3", region_name="eu-west-1")
    return {
        "machine": platform.machine(),
        "hash": sys.hash_info.algorithm,
        "tzset": hasattr(time, "tzset"),
        "decimal": str(decimal.Decimal("0.1") + decimal.Decimal("0.2")),
        "sqlite": sqlite3.connect(":memory:").execute("select 1 + 1").fetchone()[0],
        "tls": ssl.create_default_context().minimum_version.name,
    }
