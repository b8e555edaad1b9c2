"""The function of AWS's Python page."""

import boto3
import botocore


def handler(event, context):
    print(f"boto3 version: {boto3.__version__}")
    print(f"botocore version: {botocore.__version__}")
    return {"boto3": boto3.__version__, "botocore": botocore.__version__}
