# What every function needs before its own code runs: unbuffered streams and the way to the handler.
import sys


class Unbuffered:
    """A text stream that keeps nothing back: the platform may freeze the process at any time."""

    __module__ = "awslambdaric.bootstrap"

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        self.stream.write(text)
        self.stream.flush()

    def writelines(self, lines):
        self.stream.writelines(lines)
        self.stream.flush()


def unbuffer():
    if not isinstance(sys.stdout, (Unbuffered, type(None))):
        sys.stdout = Unbuffered(sys.stdout)
    if not isinstance(sys.stderr, (Unbuffered, type(None))):
        sys.stderr = Unbuffered(sys.stderr)


def resolve(handler):
    """The function that a handler setting such as `package/module.function` names."""
    try:
        module_name, function_name = handler.rsplit(".", 1)
    except ValueError as error:
        raise _fault("MalformedHandlerName", f"Bad handler '{handler}': {error}") from None
    try:
        if module_name.split(".")[0] in sys.builtin_module_names:
            message = f"Cannot use built-in module {module_name} as a handler module"
            raise _fault("BuiltInModuleConflict", message)
        module = _import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise _fault("ImportModuleError", f"Unable to import module '{module_name}': {error}") from None
    except SyntaxError as error:
        trace = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        message = f"Syntax error in module '{module_name}': {error}"
        raise _fault("UserCodeSyntaxError", message, [trace]) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise _fault("HandlerNotFound", message, None) from None


def _import_module(name):
    if name.startswith("."):
        from importlib import import_module
    else:
        # The same without the import of importlib, which a function may not need.
        import_module = sys.modules["_frozen_importlib"]._gcd_import
    return import_module(name)


def _fault(kind, message, *trace):
    from _lambda_ric import FaultException

    return FaultException("Runtime." + kind, message, *trace)
