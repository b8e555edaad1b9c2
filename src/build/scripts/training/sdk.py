"""boto3 against services on this machine: clients, resources, pages, waiters, streams, errors, signatures, TLS."""

import http.client
import io
import os
import pathlib
import ssl
import subprocess
import sys
import threading
from socket import create_connection, create_server

import boto3
import stub
from boto3.dynamodb.conditions import Key
from botocore.config import Config
from botocore.exceptions import ClientError


def calls(session, endpoint, rounds):
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
    client = lambda name: session.client(name, endpoint_url=endpoint, config=config)
    s3, queue, functions = client("s3"), client("sqs"), client("lambda")
    table = session.resource("dynamodb", endpoint_url=endpoint).Table("orders")
    for number in range(rounds):
        s3.put_object(Bucket="bucket", Key=f"folder/{number}", Body=b"x" * 5000, Metadata={"name": "value"})
        assert len(s3.get_object(Bucket="bucket", Key="folder/a b/ü")["Body"].read()) == len(stub.OBJECT)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix="folder/")
        assert sum(entry["Size"] for page in pages for entry in page["Contents"]) == 1225
        try:
            s3.get_object(Bucket="bucket", Key="missing")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchKey"
        s3.get_waiter("object_exists").wait(Bucket="bucket", Key="folder/a")
        assert "Signature=" in s3.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "a"})
        table.put_item(Item={"id": f"order-{number}", "count": number, "lines": [{"sku": "s", "n": n} for n in range(10)], "tags": {"a", "b"}})
        assert table.get_item(Key={"id": "order-1"})["Item"]["count"] > 12
        assert table.query(KeyConditionExpression=Key("id").eq("a") & Key("sort").begins_with("b"))["Count"] == 20
        queue.send_message(QueueUrl=f"{endpoint}/012345678912/queue", MessageBody="text")
        assert len(queue.receive_message(QueueUrl=f"{endpoint}/012345678912/queue", MaxNumberOfMessages=10)["Messages"]) == 10
        answer = functions.invoke(FunctionName="other", Payload=b'{"a": [1, 2, 3]}')
        assert answer["Payload"].read().startswith(b'{"a"')
        if number % 5 == 0:
            client("sts").get_caller_identity()
            client("ssm").get_parameter(Name="/a", WithDecryption=True)
            client("secretsmanager").get_secret_value(SecretId="s")
            s3.upload_fileobj(io.BytesIO(b"y" * 100_000), "bucket", "stream")


def encrypted(rounds):
    server_side, client_side = stub.tls()
    listening = create_server(("127.0.0.1", 0))

    def serve():
        for _ in range(rounds):
            connection, _ = listening.accept()
            with server_side.wrap_socket(connection, server_side=True) as wrapped:
                file = wrapped.makefile("rb")
                for _ in range(5):
                    while file.readline() not in (b"\r\n", b""):
                        pass
                    wrapped.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 20000\r\n\r\n" + b"z" * 20000)

    thread = threading.Thread(target=serve)
    thread.start()
    for _ in range(rounds):
        connection = http.client.HTTPSConnection("127.0.0.1", listening.getsockname()[1], context=client_side)
        for number in range(5):
            connection.request("GET", f"/{number}", headers={"Accept": "*/*"})
            assert len(connection.getresponse().read()) == 20000
        connection.close()
    thread.join()
    listening.close()
    # What each client of an SDK does: every authority that the system trusts.
    bundle = os.path.join(os.path.dirname(boto3.__file__), os.pardir, "botocore", "cacert.pem")
    for _ in range(5):
        assert ssl.create_default_context(cafile=bundle).cert_store_stats()["x509_ca"] > 50
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = client_side.wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        half.do_handshake()
    except ssl.SSLWantReadError:
        assert len(outgoing.read()) > 50
    with create_connection(("127.0.0.1", int(os.environ["STUB_PORT"]))):
        pass


def main(rounds):
    os.environ.update(AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="secret", AWS_DEFAULT_REGION="eu-west-1")
    services = subprocess.Popen([sys.executable, pathlib.Path(stub.__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    os.environ["STUB_PORT"] = services.stdout.readline().strip()
    try:
        calls(boto3.Session(), f"http://127.0.0.1:{os.environ['STUB_PORT']}", rounds)
        encrypted(rounds)
    finally:
        services.stdin.close()
        services.wait(10)


if __name__ == "__main__":
    main(int(sys.argv[1]))
