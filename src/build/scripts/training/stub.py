"""Answers like AWS's services, on this machine: enough of S3, DynamoDB, SQS, Lambda, STS, SSM and Secrets Manager for the SDK.

Started with one argument, it serves HTTP on a free port, prints the port, and ends with its standard input. `tls()` makes the two
ends of an encrypted connection: without certificates, because a key has no place here.
"""

import hashlib
import http.server
import json
import ssl
import sys
import threading
import time

OBJECT = b"0123456789abcdef" * 4096
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ENTRY = (
    "<Contents><Key>folder/file-{0}.json</Key><LastModified>2026-10-01T12:00:{0:02d}.000Z</LastModified>"
    "<ETag>&quot;9a0364b9e99bb480dd25e1f0284c8555&quot;</ETag><Size>{0}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
LISTING = (
    f"<ListBucketResult {NAMESPACE}><Name>bucket</Name><KeyCount>50</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
    + "".join(ENTRY.format(n) for n in range(50))
    + "</ListBucketResult>"
)
MISSING = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>missing</Key></Error>"
IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::012345678912:'
    "user/name</Arn><UserId>AIDA</UserId><Account>012345678912</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
)
ITEM = {
    "id": {"S": "order-1"},
    "count": {"N": "12.5"},
    "tags": {"SS": ["a", "b"]},
    "lines": {"L": [{"M": {"sku": {"S": f"s{n}"}, "price": {"N": f"{n}.25"}}} for n in range(10)]},
    "done": {"BOOL": True},
}
MESSAGES = [{"MessageId": f"m{n}", "ReceiptHandle": "handle", "Body": "text", "MD5OfBody": hashlib.md5(b"text").hexdigest()} for n in range(10)]
ANSWERS = {
    "GetItem": {"Item": ITEM},
    "PutItem": {},
    "Query": {"Items": [ITEM] * 20, "Count": 20, "ScannedCount": 20},
    "ReceiveMessage": {"Messages": MESSAGES},
    "SendMessage": {"MessageId": "m", "MD5OfMessageBody": hashlib.md5(b"text").hexdigest()},
    "GetParameter": {"Parameter": {"Name": "/a", "Type": "String", "Value": "v", "Version": 1, "LastModifiedDate": 1700000000.5}},
    "GetSecretValue": {"Name": "s", "SecretString": '{"user": "u", "password": "p"}', "VersionId": "v" * 32, "CreatedDate": 1700000000.0},
}


class Services(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind, **headers):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "x-amzn-RequestId": "0" * 36, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def received(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def do_POST(self):
        body = self.received()
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if operation:
            return self.answer(200, json.dumps(ANSWERS[operation]).encode(), "application/x-amz-json-1.0")
        if self.path.endswith("/invocations"):
            return self.answer(200, body, "application/json")
        return self.answer(200, IDENTITY.encode(), "text/xml")

    def do_PUT(self):
        body = self.received()
        self.answer(200, b"", "application/xml", ETag=f'"{hashlib.md5(body).hexdigest()}"')

    def do_GET(self):
        if "list-type=2" in self.path:
            return self.answer(200, LISTING.encode(), "application/xml")
        if "missing" in self.path:
            return self.answer(404, MISSING.encode(), "application/xml")
        return self.answer(200, OBJECT, "application/json", ETag='"9a0364b9e99bb480dd25e1f0284c8555"', Last_Modified="Thu, 01 Oct 2026 12:00:00 GMT")

    do_HEAD = do_GET


def tls():
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    for context in server, client:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")
    return server, client


def main():
    # The training ends with the build, whatever happens.
    threading.Thread(target=lambda: (time.sleep(1200), sys.exit()), daemon=True).start()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Services)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
