"""What goes to the log: logging with formats and levels, tracebacks, warnings, print."""

import io
import json
import logging
import logging.config
import sys
import time
import traceback
import warnings


class Lines(logging.Formatter):
    converter = time.gmtime

    def format(self, record):
        fields = {"time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"), "level": record.levelname, "message": record.getMessage()}
        if record.exc_info:
            fields["stack"] = self.formatException(record.exc_info).splitlines()
        fields.update(getattr(record, "fields", {}))
        return json.dumps(fields, default=str)


def deep(depth):
    return deep(depth - 1) if depth else {}["missing"]


def configure(stream):
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"text": {"format": "[%(levelname)s]\t%(asctime)s.%(msecs)dZ\t%(name)s\t%(message)s"}, "json": {"()": Lines}},
            "handlers": {
                "text": {"class": "logging.StreamHandler", "stream": stream, "formatter": "text"},
                "json": {"class": "logging.StreamHandler", "stream": stream, "formatter": "json", "level": "WARNING"},
            },
            "root": {"level": "INFO", "handlers": ["text", "json"]},
        }
    )


def main(rounds):
    stream = io.StringIO()
    configure(stream)
    logger = logging.getLogger("service.orders")
    adapter = logging.LoggerAdapter(logger, {"fields": {"request": "abc"}})
    for number in range(rounds):
        for n in range(20):
            logger.debug("left out %s", n)
            logger.info("order %d of %s costs %.2f", n, "somebody", n / 3)
        adapter.warning("slow: %s", {"seconds": number})
        try:
            deep(8)
        except KeyError:
            logger.exception("failed")
            stream.write(traceback.format_exc())
        try:
            try:
                int("x")
            except ValueError as error:
                raise RuntimeError("cannot convert") from error
        except RuntimeError as error:
            stream.write("".join(traceback.TracebackException.from_exception(error).format()))
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning)
        print("plain", number, {"a": [number]}, sep="|", file=stream)
        if number % 10 == 9:
            stream.seek(0)
            stream.truncate()


if __name__ == "__main__":
    main(int(sys.argv[1]))
