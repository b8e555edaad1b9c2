# Errors: how they are described to the platform, to X-Ray and in the log. Compiled when the first one happens.
import os
import sys
import time
import traceback

from _lambda_ric import dumps, log_sink, post_alone


class FaultException(Exception):
    """An error that the runtime found, with the type, message and trace that are reported."""

    __module__ = "awslambdaric.lambda_runtime_exception"

    MARSHAL_ERROR = "Runtime.MarshalError"
    UNMARSHAL_ERROR = "Runtime.UnmarshalError"
    USER_CODE_SYNTAX_ERROR = "Runtime.UserCodeSyntaxError"
    HANDLER_NOT_FOUND = "Runtime.HandlerNotFound"
    IMPORT_MODULE_ERROR = "Runtime.ImportModuleError"
    BUILT_IN_MODULE_CONFLICT = "Runtime.BuiltInModuleConflict"
    MALFORMED_HANDLER_NAME = "Runtime.MalformedHandlerName"
    BEFORE_SNAPSHOT_ERROR = "Runtime.BeforeSnapshotError"
    AFTER_RESTORE_ERROR = "Runtime.AfterRestoreError"
    LAMBDA_CONTEXT_UNMARSHAL_ERROR = "Runtime.LambdaContextUnmarshalError"
    LAMBDA_RUNTIME_CLIENT_ERROR = "Runtime.LambdaRuntimeClientError"

    def __init__(self, exception_type, msg, trace=None):
        self.msg = msg
        self.exception_type = exception_type
        self.trace = trace


def text_of(error):
    """`str(error)`, and a placeholder if that fails: the error is reported in any case."""
    try:
        return str(error)
    except Exception:
        return f"<{type(error).__name__}: str() failed>"


def make_error(error_message, error_type, stack_trace, invoke_id=None):
    return {
        "errorMessage": error_message or "",
        "errorType": error_type or "",
        "requestId": invoke_id if invoke_id is not None else "",
        "stackTrace": stack_trace or [],
    }


def extract_traceback(tb):
    return [(frame.filename, frame.lineno, frame.name, frame.line) for frame in traceback.extract_tb(tb)]


def _own_frames(tb):
    frames = extract_traceback(tb)
    for index, frame in enumerate(frames):
        if "/bootstrap.py" not in frame[0] and not frame[0].startswith("<_lambda_ric"):
            return frames[index:]
    return frames


def _import_module_frame():
    """The frame of importlib.import_module, whose work `resolve` did without it."""
    import importlib
    import linecache

    code = importlib.import_module.__code__
    line = max(line for _, _, line in code.co_lines() if line)
    return (code.co_filename, line, code.co_name, linecache.getline(code.co_filename, line).strip())


def make_xray_fault(ex_type, ex_msg, working_dir, tb_tuples):
    stack = [{"label": name, "path": path, "line": line} for path, line, name, _ in tb_tuples]
    return {
        "working_directory": working_dir,
        "exceptions": [{"message": ex_msg, "type": ex_type, "stack": stack}],
        "paths": list(dict.fromkeys(frame[0] for frame in tb_tuples)),
    }


def _working_directory():
    try:
        return os.getcwd()
    except OSError:
        return ""


def invocation_failure(error, tb, request_id):
    """What a failed invocation reports: the error and the cause for X-Ray."""
    if isinstance(error, FaultException):
        cause = make_xray_fault("LambdaValidationError", error.msg, _working_directory(), [])
        return make_error(error.msg, error.exception_type, error.trace, request_id), cause
    frames = _own_frames(tb)
    message, kind = text_of(error), type(error).__name__
    cause = make_xray_fault(kind, message, _working_directory(), frames)
    return make_error(message, kind, traceback.format_list(frames), request_id), cause


def describe(error, tb):
    """What an error outside invocations reports."""
    if isinstance(error, FaultException):
        return make_error(error.msg, error.exception_type, error.trace)
    frames = _own_frames(tb)
    if frames and frames[0][0].startswith("<frozen importlib") and frames[0][2] == "_gcd_import":
        frames.insert(0, _import_module_frame())
    return make_error(text_of(error), type(error).__name__, traceback.format_list(frames))


class LambdaRuntimeClientError(Exception):
    """The Runtime API refused a call outside invocations."""

    __module__ = "awslambdaric.lambda_runtime_client"

    def __init__(self, endpoint, response_code, response_body):
        self.endpoint = endpoint
        self.response_code = response_code
        self.response_body = response_body
        super().__init__(
            f"Request to Lambda Runtime '{endpoint}' endpoint failed. Reason: '{response_code}'. "
            f"Response body: '{response_body}'"
        )


def call_runtime(what, expected, kind="", error=None):
    """Calls init/error, restore/next or restore/error. Any answer but the expected one raises."""
    status, body = post_alone(what, kind, b"" if error is None else encode(error))
    if status != expected:
        raise LambdaRuntimeClientError(f"/2018-06-01/runtime/{what}", status, body.encode())


def encode(error):
    """An error as JSON in UTF-8. Text that is no valid Unicode is escaped, on every version."""
    try:
        return dumps(error).encode()
    except UnicodeError:
        return dumps(error, True).encode()


def init_failed(error, tb):
    """Reports an error of the initialisation and ends the process."""
    import logging

    description = describe(error, tb)
    logging.warning(WARNING)
    client = sys.modules.get("awslambdaric.lambda_runtime_client")
    agent = client._patched() if hasattr(client, "_patched") else None
    try:
        if agent:
            agent.log_error(description, log_sink())
            agent._current_client().post_init_error(description)
        else:
            log_error(description)
            call_runtime("init/error", 202, description["errorType"], description)
    except LambdaRuntimeClientError as refused:
        # Another worker may have been first.
        if not (sys.modules["_lambda_ric"].is_worker and refused.response_code == 403):
            raise
    sys.exit(1)


def wrap(kind, prefix, error):
    """A fault of the runtime that another error caused."""
    return FaultException("Runtime." + kind, prefix + text_of(error), None)


def log_error(error, sink=None):
    """Writes an error to the log, past the levels and handlers of logging."""
    own = log_sink()
    sink = sink or own
    if own.json:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sink.log_error([encode({"timestamp": stamp, "level": "ERROR", **error}).decode()])
        return
    kind, message = error.get("errorType"), error.get("errorMessage")
    title = "[ERROR]"
    if kind:
        title += f" {kind}"
    if message:
        title += f": {message}" if kind else f" {message}"
    lines = [title]
    trace = error.get("stackTrace")
    if trace is not None:
        lines.append("Traceback (most recent call last):")
        for entry in trace:
            lines.extend(map(_visible_indent, entry.splitlines()) if entry else [""])
    sink.log_error(lines)


def _visible_indent(line):
    """Leading spaces as no-break spaces: the console of the log service drops the others."""
    text = line.lstrip(" ")
    return "\u00a0" * (len(line) - len(text)) + text


WARNING = (
    "LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code. However, in rare "
    "cases, a Lambda runtime update can cause unexpected function behavior. For functions using managed runtimes, "
    "runtime updates can be triggered by a function change, or can be applied automatically. To determine if the "
    "runtime has been updated, check the runtime version in the INIT_START log entry. If this error correlates with a "
    "change in the runtime version, you may be able to mitigate this error by temporarily rolling back to the previous "
    "runtime version. For more information, see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html\r"
)

