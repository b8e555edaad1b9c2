"""Between JSON and Python: what LambdaRuntimeClient.marshaller is unless somebody replaces it."""

from _lambda_ric import FaultException, dumps, loads


def to_json(obj):
    return dumps(obj)


class LambdaMarshaller:
    def unmarshal_request(self, request, content_type="application/json"):
        if content_type != "application/json":
            return request
        try:
            return loads(request)
        except Exception as error:
            message = f"Unable to unmarshal input: {error}"
            raise FaultException(FaultException.UNMARSHAL_ERROR, message, None) from None

    def marshal_response(self, response):
        if isinstance(response, bytes):
            return response, "application/unknown"
        try:
            return dumps(response), "application/json"
        except Exception as error:
            message = f"Unable to marshal response: {error}"
            raise FaultException(FaultException.MARSHAL_ERROR, message, None) from None
