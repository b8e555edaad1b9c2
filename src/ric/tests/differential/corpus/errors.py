# One function per way to fail; the event is the function's name.
import asyncio
import contextlib
import sys
import traceback
import warnings


class MyError(Exception):
    pass


class Outer:
    class Inner(ValueError):
        pass


class StrRaises(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class StrReturnsInt(Exception):
    def __str__(self):
        return 5


class Falsy(Exception):
    def __bool__(self):
        return False


class NameMeta(type):
    @property
    def __name__(cls):
        return "Named By Meta"


class WithMeta(Exception, metaclass=NameMeta):
    pass


def plain():
    raise ValueError("plain")


def empty():
    raise ValueError


def no_text():
    raise ValueError("")


def two_arguments():
    raise ValueError("a", 2)


def mine():
    raise MyError("My error")


def nested_class():
    raise Outer.Inner("inner")


def local_class():
    class Local(Exception):
        pass

    raise Local("local")


def unicode_text():
    raise ValueError("Grüße 日本語 😀 \x7f \u2028 \x00 \x1f \"\\/")


def unicode_class():
    raise type("Fehlér", (Exception,), {})("ünï")


def newlines():
    raise ValueError("one\ntwo\r\nthree\rfour\x0bfive\x85six\u2028seven")


def long_text():
    raise ValueError("x" * 100_000)


def huge_text():
    raise ValueError("x" * 1_100_000)


def cause():
    try:
        1 / 0
    except ZeroDivisionError as error:
        raise MyError("with cause") from error


def context():
    try:
        {}["missing"]
    except KeyError:
        raise MyError("with context")


def suppressed():
    try:
        {}["missing"]
    except KeyError:
        raise MyError("suppressed") from None


def chain():
    try:
        cause()
    except MyError:
        try:
            context()
        except MyError as error:
            raise RuntimeError("end of a chain") from error


def notes():
    error = ValueError("with notes")
    if hasattr(error, "add_note"):
        error.add_note("a note")
    raise error


def group():
    if sys.version_info >= (3, 11):
        raise ExceptionGroup("group", [ValueError(1), TypeError("2")])
    raise ValueError("no groups")


def recursion():
    return recursion()


def mutual(n=50):
    if not n:
        raise ValueError("bottom")
    return mutual_other(n - 1)


def mutual_other(n):
    return mutual(n)


def repeated(n=10):
    if not n:
        raise ValueError("repeated")
    repeated(n - 1)


def deep_lambda():
    (lambda: (lambda: 1 / 0)())()


def generator():
    def steps():
        yield 1
        raise ValueError("in a generator")

    list(steps())


def comprehension():
    return [1 / n for n in (1, 0)]


def class_body():
    class Body:
        x = 1 / 0


def decorated():
    @contextlib.contextmanager
    def manager():
        yield

    with manager():
        raise ValueError("inside")


def in_finally():
    try:
        raise ValueError("first")
    finally:
        raise TypeError("second")


def reraised():
    try:
        plain()
    except ValueError:
        raise


def with_traceback():
    try:
        plain()
    except ValueError as error:
        raise MyError("other's trace").with_traceback(error.__traceback__)


def no_traceback():
    raise ValueError("trace removed").with_traceback(None)


def instance_raised_twice(kept=ValueError("kept")):
    raise kept


def key_error():
    return {}["key"]


def attribute_error():
    return object().missing


def index_error():
    return [][1]


def name_error():
    return undefined_name


def unbound():
    x = x + 1


def type_error():
    return 1 + "1"


def wrong_call():
    plain(1)


def import_inside():
    import invalid_module


def from_import():
    from sys import no_such_name


def relative_import():
    from . import sibling


def syntax_error():
    exec("x = = 1")


def syntax_compile():
    compile("def f(:\n  pass", "file name.py", "exec")


def eval_error():
    eval("1 / 0")


def exec_error():
    exec("def inner():\n    raise ValueError('in exec')\ninner()")


def unicode_decode():
    b"\xff".decode()


def unicode_encode():
    "\ud800".encode()


def surrogate_text():
    raise ValueError("lone \ud800 surrogate")


def assertion():
    assert 1 == 2, ["not", "equal"]


def bare_assertion():
    assert False


def stop_iteration():
    next(iter([]))


def os_error():
    open("/no/such/file")


def os_error_chdir():
    import os

    os.chdir("/no/such/folder")


def timeout():
    raise TimeoutError(1, "two")


def not_implemented():
    raise NotImplementedError()


def memory():
    raise MemoryError("none")


def eof():
    raise EOFError


def warning():
    raise DeprecationWarning("a warning")


def str_raises():
    raise StrRaises()


def str_returns_int():
    raise StrReturnsInt()


def falsy():
    raise Falsy("falsy")


def with_meta():
    raise WithMeta("meta")


def not_an_exception():
    raise 5


def class_of_no_exception():
    raise object


def async_error():
    async def main():
        raise ValueError("async")

    asyncio.run(main())


def task_error():
    async def child():
        await asyncio.sleep(0)
        raise ValueError("in a task")

    async def main():
        await asyncio.gather(child())

    asyncio.run(main())


def cancelled():
    raise asyncio.CancelledError()


def from_thread_pool():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(plain).result()


def in_thread():
    import threading

    thread = threading.Thread(target=plain, name="worker")
    thread.start()
    thread.join()
    return "went on"


def warned():
    warnings.warn("careful")
    return "warned"


def printed_traceback():
    try:
        plain()
    except ValueError:
        traceback.print_exc(file=sys.stdout)
    raise ValueError("after")


def long_line():
    raise ValueError("a line of code that is longer than others " + "and longer " * 3 + "and so on and so on and so on")


def many_lines():
    raise ValueError(
        "on",
        "several",
        "lines",
    )


def     odd_spaces  (  )  :
    raise    ValueError   (  "spaces"  )


def tab():
	raise ValueError("tab")


def fault():
    from awslambdaric.lambda_runtime_exception import FaultException

    raise FaultException("My.Type", "my message", ["line 1", "  line 2  ", "", "x\n  y"])


def fault_without_trace():
    from awslambdaric.lambda_runtime_exception import FaultException

    raise FaultException("My.Type", "my message")


def fault_of_nothing():
    from awslambdaric.lambda_runtime_exception import FaultException

    raise FaultException(None, None, None)


def fault_without_type():
    from awslambdaric.lambda_runtime_exception import FaultException

    raise FaultException(None, "message", [])


def fault_without_message():
    from awslambdaric.lambda_runtime_exception import FaultException

    raise FaultException("Type", None, [])


def other_file_name():
    exec(compile("raise ValueError('elsewhere')", "/somewhere/bootstrap.py", "exec"))


def no_file():
    exec(compile("raise ValueError('nowhere')", "", "exec"))


def exit_in_function():
    sys.exit(3)


def exit_with_text():
    sys.exit("text")


def exit_none():
    sys.exit()


def base_exception():
    raise BaseException("base")


def generator_exit():
    raise GeneratorExit("generator")


def keyboard():
    raise KeyboardInterrupt


def base_group():
    if sys.version_info >= (3, 11):
        raise BaseExceptionGroup("group", [KeyboardInterrupt()])
    raise KeyboardInterrupt


def own_base():
    raise type("Own", (BaseException,), {})("own")


def abort():
    import os

    os.abort()


def hard_exit():
    import os

    os._exit(9)


def handler(event, context):
    return globals()[event.decode()]()
