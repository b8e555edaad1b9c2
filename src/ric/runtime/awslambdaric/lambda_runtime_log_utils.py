"""The JSON format of log lines."""

from _lambda_ric import JsonFormatter

__all__ = ["JsonFormatter"]
