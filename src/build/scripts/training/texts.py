"""Texts and times: regular expressions, strings, dates, CSV, XML, e-mail, compression, small databases, binary records."""

import bz2
import csv
import datetime
import difflib
import email.message
import email.parser
import fnmatch
import gzip
import io
import lzma
import os
import pathlib
import re
import shutil
import sqlite3
import struct
import sys
import tempfile
import textwrap
import time
import unicodedata
import xml.etree.ElementTree as etree
import zipfile
import zlib

LOG = "\n".join(
    f'192.0.2.{n % 250} - user{n % 7} [0{n % 9 + 1}/Oct/2026:13:55:{n % 60:02d} +0000] "GET /item/{n}?q=a%20b HTTP/1.1" {200 + n % 3 * 100} {n * 37}'
    for n in range(150)
)
LINE = re.compile(
    r'^(?P<host>\S+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<verb>[A-Z]+) (?P<path>[^ "]+) [^"]*" (?P<status>\d{3}) (?P<size>\d+|-)$', re.M
)
TOKEN = re.compile(r"""\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)|(?P<name>[^\W\d]\w*)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<sign>[-+*/%()=<>,]))""")
ADDRESS = re.compile(r"(?i)\b[a-z0-9._%+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,}\b")


def log_lines():
    totals = {}
    for match in LINE.finditer(LOG):
        totals[match["status"]] = totals.get(match["status"], 0) + int(match["size"])
    return totals, len(LINE.sub(r"\g<user> \g<path>", LOG))


def tokens(text):
    position, found = 0, []
    while position < len(text) and (match := TOKEN.match(text, position)):
        found.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


def dates(number):
    zone = datetime.timezone(datetime.timedelta(hours=2), "CEST")
    start = datetime.datetime(2026, 10, 1, 12, 30, tzinfo=zone) + datetime.timedelta(days=number, seconds=number * 77)
    texts = [start.isoformat(), start.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), f"{start:%d.%m.%y}"]
    back = datetime.datetime.fromisoformat(texts[0])
    parsed = datetime.datetime.strptime(texts[1], "%Y-%m-%dT%H:%M:%SZ")
    stamp = datetime.datetime.fromtimestamp(back.timestamp(), datetime.timezone.utc)
    day = datetime.date.fromordinal(start.toordinal()).replace(day=1)
    return (stamp - back).total_seconds() + parsed.weekday() + day.isocalendar()[1] + (back > stamp) + time.gmtime(number).tm_year


def strings(number):
    name = f"{number}: Straße naïve ΑΒΓ 漢字 \N{SNOWMAN} {number / 7:.3f} {number!r:>10} {number:#x} {number:,} {'x' * (number % 5)}"
    encoded = name.encode("utf-8") + name.encode("latin-1", "replace") + name.encode("utf-16-le")
    parts = name.casefold().replace("a", "bb").partition("b")[2].rsplit(" ", 2)
    joined = "-".join(part.strip("x").title().center(9, "*") for part in parts)
    table = str.maketrans({"a": "1", "e": None, "ß": "ss"})
    old = "%-10s|%5.1f|%03d" % (name[:4], number / 3, number)
    return len(encoded.decode("utf-8", "ignore")), joined.translate(table), unicodedata.normalize("NFKD", name), old.upper().find("|"), joined in name


def tables():
    out = io.StringIO()
    writer = csv.DictWriter(out, ["id", "name", "price"])
    writer.writeheader()
    writer.writerows({"id": n, "name": f'name "{n}", quoted', "price": n / 4} for n in range(120))
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    root = etree.Element("orders", version="1")
    for row in rows:
        item = etree.SubElement(root, "order", id=row["id"])
        etree.SubElement(item, "name").text = row["name"]
    text = etree.tostring(root)
    names = [item.findtext("name") for item in etree.fromstring(text).iter("order") if int(item.get("id")) % 2]
    with sqlite3.connect(":memory:") as database:
        database.execute("create table orders (id integer primary key, name text, price real)")
        database.executemany("insert into orders values (:id, :name, :price)", rows)
        found = database.execute("select count(*), sum(price), max(name) from orders where id between ? and ?", (10, 90)).fetchone()
    database.close()
    return names, found, text


def archives(data):
    sizes = [len(module.decompress(module.compress(data))) for module in (zlib, gzip, bz2, lzma)]
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(10):
            archive.writestr(f"folder/file{n}.txt", data[: n * 50])
    with zipfile.ZipFile(memory) as archive:
        return sizes, [archive.read(name) for name in archive.namelist()]


def files(data):
    folder = pathlib.Path(tempfile.mkdtemp())
    for n in range(12):
        path = folder / f"part-{n}" / "data.bin"
        path.parent.mkdir()
        path.write_bytes(data)
    found = sorted(path for path in folder.rglob("*.bin") if fnmatch.fnmatch(path.parent.name, "part-[0-5]"))
    with open(found[0], "rb") as file:
        total = sum(len(line) for line in file)
    text = folder / "text.txt"
    with open(text, "w", encoding="utf-8") as file:
        file.writelines(f"line {n}: ü\n" for n in range(200))
    lines = [line.rstrip().split(":") for line in text.read_text("utf-8").splitlines()]
    names = [entry.name for entry in os.scandir(folder)], os.path.splitext(os.path.join(str(folder), "a.b.c"))
    shutil.rmtree(folder)
    return total, len(lines), names


def records():
    packed = b"".join(struct.pack("<IhBd8s", n, -n, n % 256, n / 3, b"text") for n in range(200))
    return [row for row in struct.iter_unpack("<IhBd8s", packed) if row[2] % 2], memoryview(packed)[16:32].tobytes(), int.from_bytes(packed[:9], "big")


def mail():
    message = email.message.EmailMessage()
    message["Subject"], message["From"], message["To"] = "Größe", "a@example.com", "b@example.com, c@example.org"
    message.set_content("Text: naïve\n" * 20)
    message.add_attachment(b"\x00\x01" * 100, maintype="application", subtype="octet-stream", filename="data.bin")
    return email.parser.BytesParser().parsebytes(message.as_bytes()).get_content_type()


def main(rounds):
    text = "total = price(3.5, count) * 1.19 + \"a \\\" quoted\" - rest % 7 >= limit " * 6
    prose = "Mail to first.last+tag@mail.example.com or nobody@nowhere, call 555-0199 then. " * 20
    for number in range(rounds):
        log_lines(), tokens(text), dates(number), strings(number), records()
        ADDRESS.findall(prose), re.split(r"[,;.]\s*", prose), re.findall(r"(\d{3})-(\d{4})", prose), textwrap.fill(prose, 60)
        if number % 4 == 0:
            names, _, xml = tables()
            archives(xml), files(xml), mail()
            list(difflib.unified_diff(names[:20], names[5:25]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
