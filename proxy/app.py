"""Puts the proxy together: settings in, ASGI application out."""

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx
from fastapi import FastAPI

from proxy import pulse, tokenizer
from proxy.api import automatic1111, description, events, layers, monitoring, openai, pages, picture
from proxy.api.routes import health, router
from proxy.catalogue import Catalogue
from proxy.contexts import Contexts
from proxy.families import NETWORKS, model_name
from proxy.jobs import Jobs
from proxy.keyring import Keyring
from proxy.model_server import ModelServer
from proxy.queue import Queue
from proxy.servers import Servers
from proxy.service import Service
from proxy.settings import Settings
from proxy.tracing import TELEMETRY
from proxy.works import Works

_CONNECTIONS = 100
_IDLE_SECONDS = 30.0  # less than the embedded model server waits for the next request
_log = logging.getLogger(__name__)


def worker() -> FastAPI:
    """The application as each worker process makes it for itself, from the environment."""
    settings = Settings()
    _tell_who_may_draw(settings)
    app = create_app(settings)
    tokenizer.bundled()
    # What is here now stays. Each full collection would look through it, for a tenth of a second in which nobody is
    # answered; what comes later takes it a millisecond.
    gc.collect()
    gc.freeze()
    return app


def _tell_who_may_draw(settings: Settings) -> None:
    if settings.api_keys_file is not None:
        _log.info("Who has a key of %s may draw.", settings.api_keys_file)
    elif settings.is_local:
        _log.info("There are no API keys (EASEL_API_KEYS_FILE): only this machine, by %s, may draw.", settings.host)
    else:
        _log.warning("There are no API keys (EASEL_API_KEYS_FILE): everybody who reaches %s may draw.", settings.host)


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The application; it reaches the model servers through `transport`, by default the network."""
    keyring = Keyring(settings.api_keys_file) if settings.api_keys_file else None
    app = FastAPI(
        title="Easel",
        summary="A caption becomes a picture.",
        description="A path that there is not is a 404, a method that a path has not a 405, in its API's shape; "
        "a request that takes too long to arrive is a 408, and one with more than 64 kB before its body a 431.",
        lifespan=partial(_open, settings=settings, keyring=keyring, transport=transport),
        docs_url=None,
        redoc_url=None,
        telemetry=TELEMETRY,
        redirect_slashes=False,  # a redirect would repeat the host and the path that were asked for
        openapi_url="/openapi.json" if settings.docs else None,
    )
    for routes in (router, events.router, openai.router, automatic1111.router, picture.router, health):
        app.include_router(routes)
    if settings.metrics:
        app.include_router(monitoring.router)
    pages.install(app, docs=settings.docs)
    description.install(app, keys=keyring is not None, keys_in_query=settings.api_keys_in_query)
    layers.install(app, settings, keyring)
    return app


@asynccontextmanager
async def _open(
    app: FastAPI, settings: Settings, keyring: Keyring | None, transport: httpx.AsyncBaseTransport | None
) -> AsyncIterator[None]:
    """Give the application's state what its routes work with, and end what they began."""
    async with AsyncExitStack() as stack:
        clients = [_client(url, settings, transport) for url in settings.model_server_urls]
        servers = Servers(
            [await stack.enter_async_context(client) for client in clients],
            call_seconds=settings.call_timeout_seconds,
            probe_path=f"/v1/models/{model_name(settings.families[0], NETWORKS[0])}",
        )
        stack.push_async_callback(servers.close)
        app.state.service = _service(settings, ModelServer(servers), keyring)
        app.state.jobs = Jobs(app.state.service)
        stack.push_async_callback(app.state.jobs.close)
        app.state.works = Works()
        if settings.metrics:
            stack.enter_context(pulse.measured(app.state.service.queue, servers))
        yield


def _service(settings: Settings, server: ModelServer, keyring: Keyring | None) -> Service:
    """What draws; keys may have limits of their own."""
    queue = Queue(
        settings.concurrent_requests,
        longest=settings.queue_length,
        per_caller=settings.requests_per_caller,
        own_limit=keyring.concurrent_requests if keyring else lambda _caller: None,
    )
    return Service(
        server,
        Catalogue(server, settings.families, tokenizer.LENGTH),
        tokenizer.bundled(),
        Contexts(settings.context_cache_bytes),
        queue,
        steps_per_call=settings.steps_per_call,
        rows_per_call=settings.rows_per_call,
        pixel_steps_per_request=settings.pixel_steps_per_request,
        request_seconds=settings.request_seconds,
    )


def _client(url: str, settings: Settings, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    """One pool for all requests to a server; how long a call may take in all, `Server` says."""
    return httpx.AsyncClient(
        base_url=url,
        limits=httpx.Limits(
            max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=_IDLE_SECONDS
        ),
        timeout=httpx.Timeout(None, connect=settings.connect_timeout_seconds),
        transport=transport,
        # The model server is a neighbour: HTTP_PROXY and the like are for the world outside.
        trust_env=False,
    )
