"""Whose request it is, for taking turns and for limits."""

from starlette.requests import Request


def caller(request: Request) -> str:
    """The address that the request came from."""
    return request.client.host if request.client else "unknown"
