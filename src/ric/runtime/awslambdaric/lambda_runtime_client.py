"""The client of the Runtime API, by the names that agents replace. Its work is done by the module _lambda_ric."""

import sys

from _lambda_ric import LambdaRuntimeClientError, call_runtime, post, wait_next

from .lambda_runtime_exception import FaultException
from .lambda_runtime_marshaller import LambdaMarshaller, to_json

ERROR_TYPE_HEADER = "Lambda-Runtime-Function-Error-Type"
XRAY_LIMIT = 1024 * 1024


class InvocationRequest:
    """An event with what the platform says about it."""

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def __eq__(self, other):
        return self.__dict__ == other.__dict__


class BaseLambdaRuntimeClient:
    marshaller = LambdaMarshaller()

    def __init__(self, lambda_runtime_address, use_thread_for_polling_next=False):
        self.lambda_runtime_address = lambda_runtime_address
        self.use_thread_for_polling_next = use_thread_for_polling_next

    def post_init_error(self, error_response_data, error_type_override=None):
        kind = error_type_override or error_response_data["errorType"]
        call_runtime("init/error", 202, kind, error_response_data)

    def restore_next(self):
        call_runtime("restore/next", 200)

    def report_restore_error(self, restore_error_data):
        call_runtime("restore/error", 202, FaultException.AFTER_RESTORE_ERROR, restore_error_data)

    def wait_next_invocation(self):
        names = (
            "invoke_id event_body content_type client_context cognito_identity invoked_function_arn "
            "deadline_time_in_ms tenant_id invocation_id x_amzn_trace_id"
        )
        return InvocationRequest(**dict(zip(names.split(), wait_next())))

    def post_invocation_result(self, invoke_id, result_data, content_type="application/json", invocation_id=None):
        body = result_data if isinstance(result_data, bytes) else result_data.encode()
        post("response", invoke_id, body, content_type, invocation_id)

    def post_invocation_error(self, invoke_id, error_response_data, xray_fault, invocation_id=None):
        cause = xray_fault if len(xray_fault.encode()) < XRAY_LIMIT else ""
        post("error", invoke_id, error_response_data.encode(), cause, invocation_id)


class LambdaRuntimeClient(BaseLambdaRuntimeClient):
    pass


_original = [(owner, dict(vars(owner))) for owner in (BaseLambdaRuntimeClient, LambdaRuntimeClient)]


def _patched():
    """The bootstrap module if somebody has replaced a name of it or of the client: invocations then go through it."""
    bootstrap = sys.modules.get("awslambdaric.bootstrap")
    owners = _original if bootstrap is None else [*_original, (bootstrap, bootstrap._original)]
    for owner, names in owners:
        now = vars(owner)
        # A class may also have got a name that it used to inherit.
        is_class = isinstance(owner, type)
        if (is_class and len(now) != len(names)) or any(now.get(name) is not value for name, value in names.items()):
            from . import bootstrap

            return bootstrap
    return None
