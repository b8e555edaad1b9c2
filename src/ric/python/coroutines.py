# Coroutines and asynchronous generators, run on one event loop per thread. Compiled when a handler returns the first one.
import asyncio
import concurrent.futures
import threading

_of_thread = threading.local()


def _event_loop():
    """The loop of this thread. Its unfinished tasks go on with the next invocation."""
    loop = getattr(_of_thread, "loop", None)
    if loop is None or loop.is_closed():
        _of_thread.loop = loop = asyncio.new_event_loop()
    return loop


def run_coroutine(coroutine):
    """The result of a coroutine. Its context variables are a copy of this thread's, made for it alone."""
    return _result(_wait(_event_loop().create_task(_outcome(coroutine))))


async def _outcome(awaitable):
    # As a value, an exception has a traceback that begins in the function, not in asyncio.
    try:
        return await awaitable, None
    except BaseException as error:
        return None, error


def _wait(future, task=None):
    """The outcome that a future holds. If a signal handler raises meanwhile, the task is cancelled."""
    try:
        return _event_loop().run_until_complete(future)
    except BaseException:
        _cancel(task or future)
        raise


def _cancel(task):
    if not task.done():
        task.cancel()
        try:
            _event_loop().run_until_complete(task)
        except asyncio.CancelledError:
            pass


def _result(outcome):
    value, error = outcome
    if isinstance(error, asyncio.CancelledError):
        # The one of asyncio is no Exception, which would end the process.
        error = concurrent.futures.CancelledError(*error.args).with_traceback(error.__traceback__)
    try:
        if error is None:
            return value
        raise error
    finally:
        # Otherwise the error holds this frame, and this frame the error.
        del error, outcome


class Pieces:
    """The pieces of an asynchronous generator as an iterator. It runs in one task, which waits while a piece is sent."""

    def __init__(self, generator):
        self._generator = generator
        self._loop = _event_loop()
        self._ready = None
        self._task = None

    def __iter__(self):
        return self

    def __next__(self):
        return _result(self._next_outcome())

    def _next_outcome(self):
        self._ready = self._loop.create_future()
        if self._task is None:
            self._task = self._loop.create_task(self._produce())
        else:
            self._sent.set_result(None)
        try:
            return _wait(self._ready, self._task)
        finally:
            self._ready = None

    async def _produce(self):
        _, error = await _outcome(self._produce_all())
        self._tell(None, error or StopIteration())

    async def _produce_all(self):
        try:
            async for piece in self._generator:
                self._sent = self._loop.create_future()
                self._tell(piece, None)
                await self._sent
        finally:
            await self._generator.aclose()

    def _tell(self, piece, error):
        if self._ready is not None and not self._ready.done():
            self._ready.set_result((piece, error))

    def close(self):
        if self._task is None or self._task.done():
            return
        self._ready = self._loop.create_future()
        _cancel(self._task)
        if self._ready.done():
            _, error = self._ready.result()
            if not isinstance(error, (StopIteration, asyncio.CancelledError)):
                raise error
