# The warning of a preview runtime. Compiled on such a version only.
import logging
import os


def warn_of_preview():
    if os.environ.get("LAMBDA_DISABLE_PREVIEW_WARN"):
        return
    china = os.environ.get("AWS_REGION", "").startswith("cn-")
    host = "docs.amazonaws.cn" if china else "docs.aws.amazon.com"
    logging.warning(
        "LAMBDA_WARNING: This is a preview runtime version and should not be used for production workloads. "
        f"For further information and to provide feedback, see https://{host}/lambda/latest/dg/lambda-runtimes.html\r"
    )
