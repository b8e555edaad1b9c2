# Managed Instances: several workers, each with a connection of its own. They are processes, each with an initialisation of
# its own, or threads where the interpreter has no GIL.
import os
import sys
import time

import _lambda_ric

FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.1, 10.0, 60.0


def run_workers(handler):
    """Starts the workers and keeps them alive. Returns when none is left."""
    count = int(os.environ["AWS_LAMBDA_MAX_CONCURRENCY"])
    _announce(count)
    if count > 1 and not getattr(sys, "_is_gil_enabled", lambda: True)():
        _redirect()
        return _lambda_ric.run_threads(_lambda_ric.initialise(handler), count)
    workers = [_Worker(handler) for _ in range(count)]
    while workers:
        pid, _ = os.wait()
        for worker in workers:
            if worker.pid == pid and not worker.restart():
                workers.remove(worker)
                break


def _announce(count):
    _lambda_ric.unbuffer()
    # The platform's descriptor is the parent's; workers write to standard output, which may become sockets.
    sink = _lambda_ric.log_sink()
    if os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper() in ("DEBUG", "TRACE", "NOTSET"):
        import logging

        if not any(hasattr(handler, "log_sink") for handler in logging.getLogger().handlers):
            _lambda_ric.set_up_logging()
        logging.getLogger().debug(
            {
                "event": "runtime_worker_pool_initializing",
                "workerCount": count,
                "executionEnvironmentMaxConcurrency": count,
            }
        )
        logging.getLogger().handlers.clear()
    sink.__exit__(None, None, None)
    _lambda_ric.forget_log_sink()


class _Worker:
    def __init__(self, handler):
        self.handler = handler
        self.pause = FIRST_PAUSE
        self._start()

    def _start(self):
        self.started = time.monotonic()
        parent = os.getpid()
        self.ready, ready = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.ready)
            _work(self.handler, parent, ready)
        os.close(ready)

    def restart(self):
        """A worker that had served starts again; one that could not initialise has said so to the platform."""
        served = os.read(self.ready, 1)
        os.close(self.ready)
        if not served:
            return False
        if time.monotonic() - self.started > STEADY:
            self.pause = FIRST_PAUSE
        time.sleep(self.pause)
        self.pause = min(self.pause * 2, LONGEST_PAUSE)
        self._start()
        return True


def _work(handler, parent, ready):
    """The life of a worker process."""

    def announce_ready():
        os.write(ready, b"r")
        os.close(ready)

    code = 1
    try:
        _lambda_ric.die_with_parent()
        if os.getppid() == parent:
            _redirect()
            _lambda_ric.is_worker = True
            function = _lambda_ric.initialise(handler)
            announce_ready()
            _lambda_ric.serve(function)
    except SystemExit as end:
        code = exit_code(end.code)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        os._exit(code)


def exit_code(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _redirect():
    """Standard output and standard error become connections to the platform's socket, if it has one."""
    path = os.environ.get("_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET")
    if not path:
        return
    import socket

    for stream in (sys.stdout, sys.stderr):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
            os.dup2(connection.fileno(), stream.fileno())


def worker_log(level, message):
    import logging

    logging.log(level, message)
