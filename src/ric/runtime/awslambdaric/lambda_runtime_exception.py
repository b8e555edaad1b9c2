"""Errors that the runtime finds itself."""

from _lambda_ric import FaultException

__all__ = ["FaultException"]
