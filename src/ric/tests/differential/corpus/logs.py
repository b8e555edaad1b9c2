# One function per way to log; the event is the function's name.
import datetime
import logging
import sys

log = logging.getLogger("mine")


class Odd:
    def __repr__(self):
        return "<Odd>"


class Broken:
    def __repr__(self):
        raise RuntimeError("repr")

    __str__ = __repr__


def levels():
    for method in (log.debug, log.info, log.warning, log.error, log.critical):
        method("each")


def between_levels():
    for level in (1, 25, 39, 41, 99, 101):
        log.log(level, "between")


def text():
    log.warning("text")


def with_tenant():
    log.warning("tenant")


def root():
    logging.warning("root")


def child():
    logging.getLogger("mine.child.of").warning("child")


def arguments():
    log.warning("%s %d %r %5.2f %%", "a", 2, "b", 3.14159)


def one_dict_argument():
    log.warning("%(a)s", {"a": 1})


def wrong_arguments():
    logging.raiseExceptions = False
    log.warning("%d", "no number")
    log.warning("%s %s", "one")
    log.warning("none", "extra")


def dict_message():
    log.warning({"event": "dict", "n": 1, "nested": {"a": [1, None]}})


def empty_dict():
    log.warning({})


def dict_with_arguments():
    log.warning({"a": 1}, "argument")


def dict_odd():
    log.warning({"odd": Odd(), "date": datetime.date(2020, 1, 2), "set": {1}, "bytes": b"x"})


def dict_odd_keys():
    log.warning({1: "one", None: "none", True: "yes", 2.5: "float"})


def dict_bad_keys():
    logging.raiseExceptions = False
    log.warning({(1, 2): "tuple"})


def list_message():
    log.warning([1, "two", None])


def none_message():
    log.warning(None)


def number_message():
    log.warning(5)


def object_message():
    log.warning(Odd())


def exception_message():
    log.warning(ValueError("as a message"))


def unicode():
    log.warning("Grüße 日本語 😀 \x7f \u2028 \x00 \x1f \"\\/")


def newlines():
    log.warning("one\ntwo\r\nthree\rfour")


def empty():
    log.warning("")


def long():
    log.warning("x" * 100_000)


def extra():
    log.warning("extra", extra={"a": 1, "b": {"c": [1, 2]}, "n": None, "z": "ü"})


def extra_order():
    log.warning("order", extra={"z": 1, "a": 2, "m": 3})


def extra_odd():
    log.warning("odd", extra={"odd": Odd(), "type": object, "nan": float("nan"), "set": frozenset()})


def extra_broken():
    logging.raiseExceptions = False
    log.warning("broken", extra={"broken": Broken()})


def extra_collisions():
    log.warning(
        "collide",
        extra={"timestamp": "t", "level": "l", "logger": "x", "stackTrace": "s", "errorType": "e", "errorMessage": "m", "requestId": "r", "location": "o"},
    )


def extra_tenant():
    log.warning("own tenantId", extra={"tenantId": "mine"})


def extra_frame_type():
    log.warning("own frame type", extra={"_frame_type": b"\xa5\x5a\x00\x02"})


def exception():
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("caught")


def exception_in_place():
    try:
        {}["x"]
    except KeyError as error:
        log.warning("given", exc_info=error)


def exception_without():
    log.exception("no exception")


def exception_info_true():
    log.error("none", exc_info=True)


def exception_chain():
    try:
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise ValueError("later") from error
    except ValueError:
        log.exception("chained")


def exception_unicode():
    try:
        raise type("Fehlér", (Exception,), {})("ünï\nzwei")
    except Exception:
        log.exception("unicode")


def exception_without_trace():
    log.error("bare", exc_info=ValueError("never raised"))


def exception_tuple():
    try:
        raise ValueError("t")
    except ValueError:
        log.error("tuple", exc_info=sys.exc_info())


def exception_deep():
    def f(n):
        if n:
            f(n - 1)
        raise ValueError("deep")

    try:
        f(5)
    except ValueError:
        log.exception("deep")


def stack():
    log.warning("stack", stack_info=False)


def stack_level():
    log.warning("level", stacklevel=2)


def disabled_logger():
    other = logging.getLogger("off")
    other.disabled = True
    other.error("never")


def no_propagation():
    other = logging.getLogger("alone")
    other.propagate = False
    other.error("last resort or nothing")


def own_handler():
    other = logging.getLogger("handled")
    if not other.handlers:
        other.addHandler(logging.StreamHandler(sys.stdout))
    other.error("twice")


def adapter():
    logging.LoggerAdapter(log, {"adapted": 1}).warning("adapted")


def made_record():
    log.handle(logging.LogRecord("made", 35, "/path/file.py", 7, "made %s", ("record",), None, "func"))


def made_from_dict():
    log.handle(logging.makeLogRecord({"msg": "made", "levelno": 40, "levelname": "OWN"}))


def mutated_level():
    record = logging.LogRecord("made", 45, "p", 1, "m", (), None)
    logging.getLogger().handle(record)
    return [record.levelno, record.levelname, record.aws_request_id, hasattr(record, "_frame_type")]


def many():
    for n in range(200):
        log.warning("line %d", n)


def handler(event, context):
    try:
        return globals()[event]()
    except Exception as error:
        return [type(error).__name__, str(error)]
