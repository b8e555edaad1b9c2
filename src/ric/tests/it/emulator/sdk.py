"""What a program that uses boto3 gets from the emulator. argv[1]: its URL."""

import base64
import json
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

client = boto3.client(
    "lambda",
    endpoint_url=sys.argv[1],
    region_name="us-east-1",
    aws_access_key_id="id",
    aws_secret_access_key="secret",
    config=Config(read_timeout=30, retries={"total_max_attempts": 1}),
)
ARN = "arn:aws:lambda:us-east-1:012345678912:function:test_function"


def invoke(event, name="function", **options):
    reply = client.invoke(FunctionName=name, Payload=json.dumps(event), **options)
    return reply, reply["Payload"].read()


def stream(event, **options):
    reply = client.invoke_with_response_stream(FunctionName="function", Payload=json.dumps(event), **options)
    assert reply["StatusCode"] == 200 and reply["ExecutedVersion"] == "$LATEST", reply
    begun, pieces, ends = time.monotonic(), [], []
    for frame in reply["EventStream"]:
        if "PayloadChunk" in frame:
            assert not ends
            pieces.append((time.monotonic() - begun, frame["PayloadChunk"]["Payload"]))
        else:
            ends.append(frame["InvokeComplete"])
    assert len(ends) == 1, ends
    return pieces, ends[0]


def refused(code, status, **options):
    try:
        client.invoke(**{"FunctionName": "function", **options})
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error.response
        return error.response["Error"]["Message"]
    raise AssertionError(f"not refused: {options.keys()}")


# The function, by each of its names.
for name in ("function", "test_function", ARN, "test_function:$LATEST", "012345678912:function:test_function"):
    reply, body = invoke({"a": "é"}, name)
    assert json.loads(body) == {"event": {"a": "é"}, "context": None, "tenant": None, "arn": ARN}, (name, body)
assert reply["StatusCode"] == 200 and reply["ExecutedVersion"] == "$LATEST", reply
assert "FunctionError" not in reply and "LogResult" not in reply, reply
assert len(reply["ResponseMetadata"]["RequestId"]) == 36, reply
message = refused("ResourceNotFoundException", 404, FunctionName="other")
assert message == "Function not found: other", message

# Context and tenant.
context = base64.b64encode(b'{"custom": {"k": 1}}').decode()
_, body = invoke({}, ClientContext=context, TenantId="blue")
assert (json.loads(body)["context"], json.loads(body)["tenant"]) == ({"k": 1}, "blue"), body

# Types of invocation.
reply, body = invoke({"a": 1}, InvocationType="DryRun")
assert (reply["StatusCode"], body) == (204, b""), reply
reply, body = invoke({"a": 1}, InvocationType="Event")
assert (reply["StatusCode"], body) == (202, b""), reply
refused("InvalidParameterValueException", 400, InvocationType="Other")

# The end of the log.
reply, _ = invoke({"print": 5000}, LogType="Tail")
tail = base64.b64decode(reply["LogResult"]).decode()
assert len(tail) == 4096 and tail.startswith("zzz") and "\nREPORT RequestId: " in tail, tail[-300:]
reply, _ = invoke({"print": 1}, LogType="Tail")
tail = base64.b64decode(reply["LogResult"]).decode()
assert tail.startswith("START RequestId: ") and tail.count("\n") == 4 and "\nz\nEND " in tail, tail

# Limits.
message = refused("RequestTooLargeException", 413, Payload=b" " * (6 * 1024 * 1024 + 1))
assert "smaller than 6291456 bytes" in message, message
refused("RequestTooLargeException", 413, Payload=b" " * (1024 * 1024 + 1), InvocationType="Event")
_, body = invoke("x" * (6 * 1024 * 1024 - 2))
assert len(body) == 6 * 1024 * 1024

# Errors, as the service shows them.
for event, kind, message in (
    ({"raise": "no"}, "ValueError", "no"),
    ({"exit": 3}, "Runtime.ExitError", "RequestId: ID Error: Runtime exited with error: exit status 3"),
    ({"sleep": 60}, "Sandbox.Timedout", "RequestId: ID Error: Task timed out after 2.00 seconds"),
    (
        {"large": 7_000_000},
        "Function.ResponseSizeTooLarge",
        "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    ),
    ({"pieces": 7, "size": 1_000_000}, "Function.ResponseSizeTooLarge", None),
    ({"pieces": 2, "error": "late"}, "ValueError", "late"),
):
    reply, body = invoke(event)
    assert (reply["StatusCode"], reply["FunctionError"]) == (200, "Unhandled"), (event, reply)
    error = json.loads(body)
    assert error["errorType"] == kind, (event, error)
    message = message and message.replace("ID", reply["ResponseMetadata"]["RequestId"])
    assert message in (None, error["errorMessage"]), (event, error)

# A streamed response in one piece,
reply, body = invoke({"pieces": 3})
assert body == b"piece 0;piece 1;piece 2;", body
assert reply["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/octet-stream", reply
# and as it comes.
pieces, end = stream({"pieces": 3, "pause": 0.3})
assert [piece for _, piece in pieces] == [b"piece 0;", b"piece 1;", b"piece 2;"], pieces
assert pieces[2][0] - pieces[0][0] > 0.5, pieces
assert end == {}, end
pieces, end = stream({"pieces": 20, "size": 1_000_000})
assert sum(len(piece) for _, piece in pieces) == sum(len(f"piece {n};") + 1_000_000 for n in range(20))
pieces, end = stream({"a": 1}, LogType="Tail")
assert json.loads(pieces[0][1])["event"] == {"a": 1} and len(pieces) == 1, pieces
assert "\nREPORT " in base64.b64decode(end["LogResult"]).decode(), end
for event, count, kind, message in (
    ({"pieces": 2, "error": "late"}, 2, "ValueError", '"errorMessage": "late"'),
    ({"raise": "no"}, 0, "Unhandled", '"errorMessage": "no"'),
    ({"pieces": 9, "pause": 1.3}, 2, "Sandbox.Timedout", "Task timed out after 2.00 seconds"),
    ({"exit": 3}, 0, "Runtime.ExitError", "exit status 3"),
):
    pieces, end = stream(event)
    assert len(pieces) == count and end["ErrorCode"] == kind and message in end["ErrorDetails"], (pieces, end)
print("done")
