"""What a function does with an event: JSON in and out, encodings, identifiers, signatures, addresses, templates."""

import base64
import binascii
import hashlib
import hmac
import html
import json
import os
import re
import secrets
import string
import sys
import urllib.parse
import uuid
from http import HTTPStatus


def proxy_event(number):
    headers = {f"X-Header-{index}": f"value {index * number}" for index in range(12)}
    return {
        "version": "2.0",
        "routeKey": "POST /orders/{id}",
        "rawPath": f"/orders/{number}",
        "rawQueryString": "a=1&b=two%20words&c=%C3%A4",
        "headers": {**headers, "content-type": "application/json", "cookie": "session=abc; theme=dark"},
        "requestContext": {
            "accountId": "012345678912",
            "http": {"method": "POST", "path": f"/orders/{number}", "sourceIp": "192.0.2.1"},
            "requestId": str(uuid.uuid4()),
            "timeEpoch": 1700000000000 + number,
        },
        "body": json.dumps({"items": [{"sku": f"A-{n}", "count": n, "price": n * 1.25} for n in range(20)], "note": "naïve ☃"}),
        "isBase64Encoded": False,
        "stageVariables": None,
    }


def queue_event(number):
    def record(n):
        body = json.dumps({"id": n, "type": "created", "payload": {"name": f"name {n}", "tags": ["a", "b", None, True]}})
        return {
            "messageId": str(uuid.UUID(int=n)),
            "receiptHandle": base64.b64encode(os.urandom(64)).decode(),
            "body": body,
            "md5OfBody": hashlib.md5(body.encode()).hexdigest(),
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"},
        }

    return {"Records": [record(number * 10 + n) for n in range(10)]}


def stream_event(number):
    data = [base64.b64encode(json.dumps({"n": n, "text": "x" * (n % 50)}).encode()).decode() for n in range(40)]
    return {"Records": [{"kinesis": {"data": piece, "sequenceNumber": str(10**50 + n)}} for n, piece in enumerate(data)]}


def orders(event, context):
    order = json.loads(event["body"])
    query = dict(urllib.parse.parse_qsl(event["rawQueryString"]))
    cookies = dict(part.strip().split("=", 1) for part in event["headers"]["cookie"].split(";"))
    total = sum(item["count"] * item["price"] for item in order["items"])
    lines = [f"{item['sku']:<10}{item['count']:>5d}{item['price']:>12.2f}" for item in order["items"] if item["count"] % 3]
    signature = hmac.new(b"key", event["body"].encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature, signature):
        return {"statusCode": HTTPStatus.FORBIDDEN}
    page = string.Template("<p>$who owes $total</p>").substitute(who=html.escape(cookies["session"] + "<>&"), total=f"{total:,.2f}")
    location = urllib.parse.urljoin("https://example.com/a/b", "../c?" + urllib.parse.urlencode(query))
    body = {"total": total, "lines": lines, "page": page, "location": location, "signature": signature}
    return {"statusCode": int(HTTPStatus.OK), "headers": {"content-type": "application/json"}, "body": json.dumps(body, sort_keys=True)}


def messages(event, context):
    failures = []
    for record in event["Records"]:
        try:
            body = json.loads(record["body"])
            if body["id"] % 7 == 0:
                raise KeyError("unlucky")
            if hashlib.md5(record["body"].encode()).hexdigest() != record["md5OfBody"]:
                raise ValueError(f"record {record['messageId']} is damaged")
        except (KeyError, ValueError) as error:
            failures.append({"itemIdentifier": record["messageId"], "reason": repr(error)})
    return {"batchItemFailures": failures}


def stream(event, context):
    texts = [json.loads(base64.b64decode(record["kinesis"]["data"])) for record in event["Records"]]
    seen = {}
    for text in texts:
        seen.setdefault(len(text["text"]) // 10, []).append(text["n"])
    return {str(key): sum(values) / len(values) for key, values in sorted(seen.items())}


def token(number):
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=")
    head = part({"alg": "HS256"}) + b"." + part({"sub": number, "exp": 1700000000 + number, "scope": "read write"})
    made = head + b"." + base64.urlsafe_b64encode(hmac.digest(b"secret", head, "sha256")).rstrip(b"=")
    claims = made.split(b".")[1]
    return json.loads(base64.urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)))


def main(rounds):
    sizes = 0
    for number in range(rounds):
        for make, handle in (proxy_event, orders), (queue_event, messages), (stream_event, stream):
            event = json.loads(json.dumps(make(number)))
            sizes += len(json.dumps(handle(event, None), ensure_ascii=number % 2 == 0, default=str).encode())
        sizes += token(number)["exp"] % 7
        for algorithm in "sha1", "sha256", "sha512", "blake2b", "sha3_256":
            sizes += len(hashlib.new(algorithm, b"x" * 300).hexdigest())
        sizes += binascii.crc32(secrets.token_bytes(100)) % 3
        sizes += len(re.sub(r"[^a-z0-9]+", "-", f"Some Title, {number}: Ümläut & more".lower()).strip("-"))
    big = json.dumps([queue_event(n) for n in range(40)], indent=2)
    for _ in range(4):
        sizes += len(json.dumps(json.loads(big)))
    return sizes


if __name__ == "__main__":
    main(int(sys.argv[1]))
