"""Whose request it is, for taking turns and for limits."""

from ipaddress import IPv6Address, ip_address, ip_network

from starlette.requests import HTTPConnection

from proxy.jobs import Job

_ONE_NETWORK_BITS = 64


def caller(request: HTTPConnection) -> str:
    """The name of the key that the request came with; without keys, its address."""
    name: str | None = request.scope.get("easel_key")
    return name or address(request)


def has_key(request: HTTPConnection) -> bool:
    """Whether the request came with a key that was asked for."""
    return "easel_key" in request.scope


def owns(request: HTTPConnection, job: Job) -> bool:
    """Whether the job may be watched and ended: where there are keys, only with the one that it was begun with."""
    return not has_key(request) or job.caller == caller(request)


def address(request: HTTPConnection) -> str:
    """The address that the request came from; of IPv6 the network, in which one caller has many addresses."""
    try:
        found = ip_address(request.client.host if request.client else "")
    except ValueError:  # what a trusted proxy says may be anything
        return "unknown"
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, _ONE_NETWORK_BITS), strict=False))
    return str(found)
