"""The loop's steps by the names that agents replace.

Invocations come here only when somebody has replaced one of the names, here or of LambdaRuntimeClient. Each step calls the
others through this module, so that a replacement is called.
"""

import os
import sys

import _lambda_ric
from _lambda_ric import (
    FramedTelemetryLogSink,
    LambdaLoggerFilter,
    LambdaLoggerHandler,
    LambdaLoggerHandlerWithFrameType,
    StandardLogSink,
    Unbuffered,
    extract_traceback,
    log_sink,
    make_error,
    make_xray_fault,
)

from .lambda_context import LambdaContext
from .lambda_runtime_client import LambdaRuntimeClient
from .lambda_runtime_exception import FaultException
from .lambda_runtime_marshaller import to_json


def _get_handler(handler):
    return _lambda_ric.resolve(handler)


def log_error(error_result, log_sink):
    _lambda_ric.log_error(error_result, log_sink)


def parse_json_header(header, name):
    return _lambda_ric.parse_header(header, name)


def create_lambda_context(
    client_context_json,
    cognito_identity_json,
    epoch_deadline_time_in_ms,
    invoke_id,
    invoked_function_arn,
    tenant_id,
):
    return LambdaContext(
        invoke_id,
        parse_json_header(client_context_json, "Client Context"),
        parse_json_header(cognito_identity_json, "Cognito Identity"),
        epoch_deadline_time_in_ms,
        invoked_function_arn,
        tenant_id,
    )


def handle_event_request(
    lambda_runtime_client,
    request_handler,
    invoke_id,
    event_body,
    content_type,
    client_context_json,
    cognito_identity_json,
    invoked_function_arn,
    epoch_deadline_time_in_ms,
    tenant_id,
    log_sink,
    invocation_id=None,
):
    """Takes one event through the handler and posts its result or its error."""
    marshaller = lambda_runtime_client.marshaller
    try:
        lambda_context = create_lambda_context(
            client_context_json,
            cognito_identity_json,
            epoch_deadline_time_in_ms,
            invoke_id,
            invoked_function_arn,
            tenant_id,
        )
        event = marshaller.unmarshal_request(event_body, content_type)
        response, first_piece = _lambda_ric.settle(request_handler(event, lambda_context), invoke_id)
        if first_piece is None:
            result, result_content_type = marshaller.marshal_response(response)
    except Exception as error:
        error_result, xray_fault = _lambda_ric.invocation_failure(error, error.__traceback__, invoke_id)
        log_error(error_result, log_sink)
        lambda_runtime_client.post_invocation_error(
            invoke_id, to_json(error_result), to_json(xray_fault), invocation_id
        )
        return
    if first_piece is not None:
        _lambda_ric.post_stream(invoke_id, response, first_piece, invocation_id)
    else:
        lambda_runtime_client.post_invocation_result(invoke_id, result, result_content_type, invocation_id)


def run(handler, lambda_runtime_client):
    _lambda_ric.run(handler)


_client = None


def _current_client():
    global _client
    if _client is None or type(_client) is not LambdaRuntimeClient:
        _client = LambdaRuntimeClient(os.environ.get("AWS_LAMBDA_RUNTIME_API"))
    return _client


def _serve(request_handler, invocation):
    """One invocation, as `wait_next` describes it, with everything that has been replaced."""
    *event, invocation_id, _ = invocation
    sys.modules[__name__].handle_event_request(
        _current_client(), request_handler, *event, log_sink(), invocation_id
    )


# What `_patched` of the client's module compares with.
_original = {name: value for name, value in globals().items() if not name.startswith("__") and name != "_client"}
