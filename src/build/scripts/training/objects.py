"""Python's own machinery as applications use it: classes, dataclasses, enums, closures, generators, exceptions, containers."""

import abc
import collections
import contextlib
import copy
import dataclasses
import decimal
import enum
import fractions
import functools
import heapq
import itertools
import math
import operator
import pickle
import random
import statistics
import sys
import typing
import weakref


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2
    OWN = 4


@dataclasses.dataclass(frozen=True, order=True)
class Money:
    amount: decimal.Decimal
    currency: str = "EUR"

    def __add__(self, other):
        return dataclasses.replace(self, amount=self.amount + other.amount)


@dataclasses.dataclass
class Order:
    number: int
    lines: list = dataclasses.field(default_factory=list)
    colour: Colour = Colour.RED
    access: Access = Access.READ
    notes: typing.Optional[str] = None

    @property
    def total(self):
        return functools.reduce(operator.add, self.lines, Money(decimal.Decimal(0)))


class Point(typing.NamedTuple):
    x: float
    y: float


class Shape(abc.ABC):
    count = 0

    def __init__(self, name):
        self.name = name
        type(self).count += 1

    @abc.abstractmethod
    def area(self): ...

    def __lt__(self, other):
        return self.area() < other.area()

    def __eq__(self, other):
        return isinstance(other, Shape) and self.area() == other.area()

    def __hash__(self):
        return hash((self.name, self.area()))


class Square(Shape):
    __slots__ = ("side",)

    def __init__(self, side):
        super().__init__("square")
        self.side = side

    def area(self):
        return self.side**2


class Circle(Shape):
    def __init__(self, radius):
        super().__init__("circle")
        self.radius = radius

    @functools.cached_property
    def circumference(self):
        return 2 * math.pi * self.radius

    def area(self):
        return math.pi * self.radius**2


class Table(collections.abc.MutableMapping):
    def __init__(self):
        self.rows = {}

    def __getitem__(self, key):
        return self.rows[key.lower()]

    def __setitem__(self, key, value):
        self.rows[key.lower()] = value

    def __delitem__(self, key):
        del self.rows[key.lower()]

    def __iter__(self):
        return iter(self.rows)

    def __len__(self):
        return len(self.rows)

    def __getattr__(self, name):
        try:
            return self.rows[name]
        except KeyError:
            raise AttributeError(name) from None


class Refused(Exception):
    def __init__(self, reason, *, code=400):
        super().__init__(reason)
        self.code = code


def retried(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            for attempt in range(times):
                try:
                    return function(*args, attempt=attempt, **kwargs)
                except Refused as error:
                    if error.code == 500 or attempt == times - 1:
                        raise RuntimeError("gave up") from error
                finally:
                    wrapper.calls += 1

        wrapper.calls = 0
        return wrapper

    return decorate


@retried(3)
def flaky(value, *, attempt):
    if (value + attempt) % 3 == 0:
        raise Refused(f"{value} is not wanted", code=503 if value % 2 else 429)
    return value * attempt


@contextlib.contextmanager
def counted(counter, name):
    counter[name] += 1
    try:
        yield counter
    finally:
        counter[name, "left"] += 1


def primes():
    found = []
    for number in itertools.count(2):
        if all(number % prime for prime in itertools.takewhile(lambda p: p * p <= number, found)):
            found.append(number)
            yield number


def walk(tree):
    if tree:
        left, value, right = tree
        yield from walk(left)
        yield value
        yield from walk(right)


def grow(numbers):
    tree = None

    def insert(node, number):
        if node is None:
            return (None, number, None)
        left, value, right = node
        return (insert(left, number), value, right) if number < value else (left, value, insert(right, number))

    for number in numbers:
        tree = insert(tree, number)
    return tree


def dispatch(value):
    match value:
        case {"type": "point", "x": x, "y": y}:
            return Point(x, y)
        case [first, *rest]:
            return first, len(rest)
        case Money(amount=amount):
            return amount
        case str() | bytes():
            return len(value)
        case int(number) if number > 5:
            return -number
        case _:
            return None


@functools.lru_cache(maxsize=128)
def ways(coins, amount):
    if amount == 0:
        return 1
    return 0 if amount < 0 or not coins else ways(coins, amount - coins[0]) + ways(coins[1:], amount)


@functools.singledispatch
def describe(value):
    return repr(value)


@describe.register
def _(value: int):
    return hex(value)


@describe.register
def _(value: list):
    return ",".join(map(describe, value))


def matrix(size):
    left = [[(row * column) % 7 + 0.5 for column in range(size)] for row in range(size)]
    return [[sum(a * b for a, b in zip(row, column)) for column in zip(*left)] for row in left]


def words(text):
    counts = collections.Counter(text.split())
    index = collections.defaultdict(set)
    for position, word in enumerate(text.split()):
        index[word[:2]].add(position)
    return counts.most_common(3), {key: sorted(places)[:3] for key, places in index.items()}


def knapsack(items, room):
    best = [0] * (room + 1)
    for weight, value in items:
        for left in range(room, weight - 1, -1):
            if (taken := best[left - weight] + value) > best[left]:
                best[left] = taken
    return best[room]


def route(graph, start):
    distance = {start: 0}
    queue = [(0, start)]
    while queue:
        so_far, node = heapq.heappop(queue)
        if so_far > distance[node]:
            continue
        for neighbour, length in graph[node].items():
            total = so_far + length
            if total < distance.get(neighbour, math.inf):
                distance[neighbour] = total
                heapq.heappush(queue, (total, neighbour))
    return distance


def main(rounds):
    random.seed(7)
    counter = collections.Counter()
    text = "the quick brown fox jumps over the lazy dog while many words follow each other in a long line " * 8
    graph = {n: {random.randrange(60): random.randrange(1, 20) for _ in range(5)} for n in range(60)}
    for number in range(rounds):
        orders = [Order(n, [Money(decimal.Decimal(n) / 3) for n in range(5)], random.choice(list(Colour))) for n in range(10)]
        totals = sorted((order.total for order in orders), reverse=True)
        restored = pickle.loads(pickle.dumps(orders))
        assert restored == copy.deepcopy(orders) and dataclasses.asdict(orders[0])["number"] == 0
        Access.READ | Access.WRITE, Colour("red"), Colour["BLUE"].value, totals[0] < totals[-1]
        shapes = [Square(n % 5 + 1) if n % 2 else Circle(n) for n in range(30)]
        references = weakref.WeakSet(shapes)
        largest = max(shapes), sorted(shapes)[:2], len(set(shapes)), sum(isinstance(s, Circle) and s.circumference for s in shapes), len(references)
        table = Table()
        for n in range(30):
            table[f"Key{n}"] = n
        assert table.key3 == table["KEY3"] and not hasattr(table, "nothing") and "KEY29" in table
        with counted(counter, number % 5), contextlib.suppress(ZeroDivisionError):
            number / (number % 3)
        for n in range(9):
            with contextlib.suppress(RuntimeError):
                flaky(n)
        assert list(walk(grow(random.sample(range(1000), 60))))[0] >= 0
        assert list(itertools.islice(primes(), 60))[-1] == 281
        for value in {"type": "point", "x": 1, "y": 2}, [1, 2, 3], Money(decimal.Decimal(1)), "text", 9, None:
            dispatch(value)
        ways.cache_clear()
        ways((25, 10, 5, 1), 60)
        describe([1, [2, "three"], 4.0])
        matrix(12), words(text), knapsack([(n % 9 + 1, n * 3 % 17) for n in range(30)], 60), route(graph, 0)
        statistics.fmean(range(50)), statistics.median([5, 3, 1]), fractions.Fraction(number, 7) + fractions.Fraction(1, 3)
        chunks = [list(group) for _, group in itertools.groupby(range(40), key=lambda n: n // 7)]
        flat = {str(n): chr(65 + n % 26) for n in itertools.chain.from_iterable(chunks)}
        merged = {**flat, **dict(zip("abc", range(3)))} | {"d": largest[0].name}
        first, *middle, last = [*merged.items()]
        total = 0
        for n in range(3000):
            total = (total * 31 + n ^ (n >> 3)) & 0xFFFFFFFF
            if n % 5 == 0:
                total += len(middle) - 1
        x, y, velocity = 0.0, 1.0, 0.01
        for n in range(1500):
            x, y = x + y * velocity, y - x * velocity
            velocity *= 0.9999 if math.hypot(x, y) > 1 else 1.0001
    return total, x, first, last


if __name__ == "__main__":
    main(int(sys.argv[1]))
