# Managed Instances without a GIL: one initialisation, and workers that are threads of this process.
import atexit
import contextvars
import os
import signal
import sys
import threading
import time
import traceback

import _lambda_ric
from _lambda_ric import exit_code

FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.1, 10.0, 60.0


class _Worker:
    """A thread with a connection of its own. One that ends is replaced, after a pause that grows."""

    def __init__(self, function, number, news):
        self.function, self.number, self.news = function, number, news
        self.pause = FIRST_PAUSE
        self.start()

    def start(self):
        self.started = time.monotonic()
        self.ended = False
        threading.Thread(target=self._work, name=f"worker-{self.number}", daemon=True).start()

    def _work(self):
        try:
            _lambda_ric.serve(self.function)
        except SystemExit as end:
            exit_code(end.code)
        except BaseException:
            traceback.print_exc()
        self.ended = True
        os.write(self.news, b"e")

    def restart(self):
        if time.monotonic() - self.started > STEADY:
            self.pause = FIRST_PAUSE
        time.sleep(self.pause)
        self.pause = min(self.pause * 2, LONGEST_PAUSE)
        self.start()


def run_threads(function, count):
    """Runs the workers. Does not return: only a signal ends the process."""
    code = 1
    try:
        _lambda_ric.is_worker = True
        _lambda_ric.invocation_of_thread = contextvars.ContextVar("invocation")
        news, end = os.pipe()
        os.set_blocking(end, False)
        # Signals come to any thread, but their handlers run in this one, which they have to wake.
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        workers = [_Worker(function, number, end) for number in range(1, count + 1)]
        while True:
            os.read(news, 4096)
            for worker in workers:
                if worker.ended:
                    worker.restart()
    except SystemExit as end:
        code = exit_code(end.code)
    except BaseException:
        traceback.print_exc()
    finally:
        # The end of the interpreter would wait for the workers, or pull the ground from under them.
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        os._exit(code)
