# The root logger's handler and its text format. Compiled when a function imports logging.
import logging
import os
import sys
import time

from _lambda_ric import log_sink

TEXT_FRAMES = {0: 0xA55A0003, 10: 0xA55A000B, 20: 0xA55A000F, 30: 0xA55A0013, 40: 0xA55A0017, 50: 0xA55A001B}

def _level(record):
    return min(50, max(0, record.levelno)) // 10 * 10


class LambdaLoggerHandler(logging.Handler):
    __module__ = "awslambdaric.bootstrap"

    def __init__(self, log_sink):
        super().__init__()
        self.log_sink = log_sink

    def emit(self, record):
        self.log_sink.log(self.format(record))


class LambdaLoggerHandlerWithFrameType(logging.Handler):
    __module__ = "awslambdaric.bootstrap"

    def __init__(self, log_sink):
        super().__init__()
        self.log_sink = log_sink

    def emit(self, record):
        # The formatter decides about the type, so it comes first.
        text = self.format(record)
        frame_type = getattr(record, "_frame_type", None) or TEXT_FRAMES.get(_level(record))
        self.log_sink.log(text, frame_type=frame_type)


class LambdaLoggerFilter(logging.Filter):
    """Tells a record about the invocation that it belongs to."""

    __module__ = "awslambdaric.bootstrap"

    def filter(self, record):
        runtime = sys.modules["_lambda_ric"]
        ids = runtime.request_id, runtime.tenant_id
        if runtime.invocation_of_thread is not None:
            ids = runtime.invocation_of_thread.get(ids)
        record.aws_request_id, record.tenant_id = ids[0] or "", ids[1]
        return True


def set_up_logging():
    """Adds the handler to the root logger, with the level that the environment asks for."""
    logging.Formatter.converter = time.gmtime
    root = logging.getLogger()
    sink = log_sink()
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "")
    level = "DEBUG" if level == "TRACE" else level.upper()
    if sink.json:
        handler = LambdaLoggerHandlerWithFrameType(sink)
        from _lambda_ric import JsonFormatter

        handler.setFormatter(JsonFormatter())
    else:
        handler = LambdaLoggerHandlerWithFrameType(sink) if level else LambdaLoggerHandler(sink)
        line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
        handler.setFormatter(logging.Formatter(line, "%Y-%m-%dT%H:%M:%S"))
    if level in logging._nameToLevel:
        root.setLevel(level)
    handler.addFilter(LambdaLoggerFilter())
    root.addHandler(handler)
