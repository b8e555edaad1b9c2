# Where log lines go: standard output, or frames on the platform's descriptor.
import os
import sys
import time

DEFAULT_FRAME = 0xA55A0003
ERROR_FRAMES = {True: 0xA55A0016, False: 0xA55A0017}


class StandardLogSink:
    """Log lines on standard output."""

    __module__ = "awslambdaric.bootstrap"

    def __init__(self):
        self.json = is_json()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def log(self, msg, frame_type=None):
        _write(msg)

    def log_error(self, message_lines):
        _write("\r".join(message_lines) + "\n")


class FramedTelemetryLogSink:
    """Log lines as frames: type, length and microseconds since 1970, big-endian, then the text in UTF-8."""

    __module__ = "awslambdaric.bootstrap"

    def __init__(self, fd):
        self.fd = int(fd)
        self.json = is_json()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        os.close(self.fd)

    def log(self, msg, frame_type=None):
        content = msg.encode("utf-8", "backslashreplace")
        if not isinstance(frame_type, bytes):
            frame_type = (frame_type or DEFAULT_FRAME).to_bytes(4, "big")
        head = len(content).to_bytes(4, "big") + (time.time_ns() // 1000).to_bytes(8, "big")
        rest = memoryview(frame_type + head + content)
        while rest:
            rest = rest[os.write(self.fd, rest) :]

    def log_error(self, message_lines):
        self.log("\n".join(message_lines), ERROR_FRAMES[self.json])


def _write(text):
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def is_json():
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


_sink = None


def log_sink():
    """The one sink of this process."""
    global _sink
    if _sink is None:
        fd = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
        _sink = StandardLogSink() if fd is None else FramedTelemetryLogSink(fd)
    return _sink


def forget_log_sink():
    """The next one who asks gets a new sink."""
    global _sink
    _sink = None
