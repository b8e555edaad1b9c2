# The context object, under the names that `awslambdaric.lambda_context` has.
import os
import sys
from time import time

W3C_FIELDS = ("traceparent", "tracestate", "baggage")


class _Fields:
    """Attributes from the keys of a JSON object; other keys are dropped, missing ones are None."""

    __slots__ = ()

    @classmethod
    def _from_dict(cls, values):
        if values is None:
            return None
        result = cls()
        for name in cls.__slots__:
            setattr(result, name, values.get(name))
        return result

    def __repr__(self):
        fields = ",".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"{type(self).__name__}([{fields}])"


class CognitoIdentity(_Fields):
    __module__ = "awslambdaric.lambda_context"
    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]


class Client(_Fields):
    __module__ = "awslambdaric.lambda_context"
    __slots__ = ["installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"]


class ClientContext(_Fields):
    __module__ = "awslambdaric.lambda_context"
    __slots__ = ["custom", "env", "client"]


class LambdaContext:
    """What a function learns about its invocation and itself."""

    __module__ = "awslambdaric.lambda_context"

    def __init__(
        self,
        invoke_id,
        client_context,
        cognito_identity,
        epoch_deadline_time_in_ms,
        invoked_function_arn=None,
        tenant_id=None,
    ):
        variable = os.environ.get
        self.aws_request_id = invoke_id
        self.log_group_name = variable("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = variable("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = variable("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = variable("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = invoked_function_arn
        self.tenant_id = tenant_id
        self._w3c_fields = _take_w3c(client_context)
        self.client_context = ClientContext._from_dict(client_context)
        if self.client_context is not None:
            self.client_context.client = Client._from_dict(self.client_context.client)
        self.identity = identity = CognitoIdentity()
        identity.cognito_identity_id = identity.cognito_identity_pool_id = None
        if cognito_identity is not None:
            identity.cognito_identity_id = cognito_identity.get("cognitoIdentityId")
            identity.cognito_identity_pool_id = cognito_identity.get("cognitoIdentityPoolId")
        self._epoch_deadline_time_in_ms = epoch_deadline_time_in_ms

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time() * 1000))

    def w3c(self):
        """The W3C trace context of this invocation."""
        return dict(self._w3c_fields)

    def log(self, msg):
        # Who has not imported logging has not changed its handlers either.
        if logging := sys.modules.get("logging"):
            for handler in logging.getLogger().handlers:
                if hasattr(handler, "log_sink"):
                    handler.log_sink.log(str(msg))
                    return
            sys.stdout.write(str(msg))
        else:
            from _lambda_ric import log_sink

            log_sink().log(str(msg))

    def __repr__(self):
        return (
            f"{type(self).__name__}(["
            f"aws_request_id={self.aws_request_id},"
            f"log_group_name={self.log_group_name},"
            f"log_stream_name={self.log_stream_name},"
            f"function_name={self.function_name},"
            f"memory_limit_in_mb={self.memory_limit_in_mb},"
            f"function_version={self.function_version},"
            f"invoked_function_arn={self.invoked_function_arn},"
            f"client_context={self.client_context},"
            f"identity={self.identity},"
            f"tenant_id={self.tenant_id}"
            "])"
        )


def _take_w3c(client_context):
    """Removes the trace context from the client context; only its known text fields are kept."""
    if not isinstance(client_context, dict):
        return {}
    fields = client_context.pop("w3c", None)
    if not isinstance(fields, dict):
        return {}
    return {name: fields[name] for name in W3C_FIELDS if isinstance(fields.get(name), str)}


def parse_header(text, name):
    if not text:
        return None
    import json

    try:
        return json.loads(text)
    except Exception as error:
        from _lambda_ric import FaultException

        message = f"Unable to parse {name} JSON: {error}"
        raise FaultException("Runtime.LambdaContextUnmarshalError", message, None) from None


def make_context(request_id, client_context, cognito_identity, deadline, function_arn, tenant_id):
    """The context of an invocation whose headers are still text."""
    return LambdaContext(
        request_id,
        parse_header(client_context, "Client Context"),
        parse_header(cognito_identity, "Cognito Identity"),
        deadline,
        function_arn,
        tenant_id,
    )
