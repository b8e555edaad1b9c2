"""Runs the function that _HANDLER names. The loop itself is part of this interpreter: see the module _lambda_ric.

Wrappers (AWS_LAMBDA_EXEC_WRAPPER) get this file's path after the interpreter's, and may import it and call main().
"""

import _lambda_ric


def main():
    _lambda_ric.bootstrap()


def __getattr__(name):
    # Agents look here for the modules of the official client to patch them; without an agent they are never imported.
    if name == "awslambdaricmain":
        import awslambdaric.__main__

        return awslambdaric.__main__
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    main()
