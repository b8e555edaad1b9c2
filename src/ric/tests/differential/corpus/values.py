# The names that expressions of results use.
import datetime
import enum
import fractions
import math
import random
import struct
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal as D
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

Point = namedtuple("Point", "a b")


class Color(enum.Enum):
    RED = 1


class Size(enum.IntEnum):
    BIG = 3


class Text(str, enum.Enum):
    A = "a"


@dataclass
class Data:
    x: int


class Named:
    def __init__(self, name):
        self.name = name

    def _asdict(self):
        return {"name": self.name}


class Str(str):
    def __str__(self):
        return "not me"


class Int(int):
    def __repr__(self):
        return "not me"


class Float(float):
    def __repr__(self):
        return "not me"


class Loud(int):
    def __str__(self):
        return "loud"


class List(list):
    def __iter__(self):
        return iter(["iterated"])


class Dict(dict):
    def items(self):
        return [("items", "called")]


class Empty(dict):
    def items(self):
        return [("not", "asked")]


class Tuple(tuple):
    pass


class Bytes(bytes):
    pass


class Asdict:
    def __init__(self, result):
        self.result = result

    def _asdict(self):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class AsdictAttribute:
    _asdict = 5


class AsdictList(list):
    def _asdict(self):
        return {"list": len(self)}


class AsdictDict(dict):
    def _asdict(self):
        return {"asdict": 1}


class AsdictStr(str):
    def _asdict(self):
        return {"asdict": 1}


class AsdictProperty:
    @property
    def _asdict(self):
        raise KeyError("property")


class ForJson:
    def for_json(self):
        return "for json"


class Broken:
    def __repr__(self):
        raise RuntimeError("repr")


class Meta(type):
    @property
    def __name__(cls):
        return "meta name"


class WithMeta(metaclass=Meta):
    pass


class SubDecimal(D):
    pass


class Mapping:
    def keys(self):
        return ["a"]

    def __getitem__(self, key):
        return 1


def circle(kind):
    if kind is list:
        value = []
        value.append(value)
    elif kind is dict:
        value = {}
        value["self"] = value
    else:
        inner = []
        value = (inner,)
        inner.append(value)
    return value


def deep(kind, depth):
    value = None
    for _ in range(depth):
        value = {"a": value} if kind is dict else kind([value])
    return value


def floats(count):
    """Floats of every size, among them all that are neighbours of short ones."""
    numbers = random.Random(count)
    every = [struct.unpack("d", numbers.randbytes(8))[0] for _ in range(count)]
    short = [numbers.randrange(10**6) / 10 ** numbers.randrange(12) for _ in range(count)]
    return every + short + [math.nextafter(number, 0) for number in short] + [10.0**n for n in range(-30, 31)]


shared = [1]


def handler(event, context):
    return eval(event)
