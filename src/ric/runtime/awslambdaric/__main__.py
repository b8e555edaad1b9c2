"""`python -m awslambdaric app.handler` runs the handler as the image's entrypoint does, with sys.path as it is."""

import sys

import _lambda_ric


def main(args):
    if len(args) < 2:
        raise ValueError("Handler not set")
    _lambda_ric.run(args[1])


def __getattr__(name):
    if name == "bootstrap":
        from . import bootstrap

        return bootstrap
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    main(sys.argv)
