"""Puts the proxy together: settings in, ASGI application out."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from fastapi import FastAPI

from proxy import tokenizer
from proxy.api import automatic1111, events, failures, openai, pages, picture
from proxy.api.ending import Ending
from proxy.api.limits import BodyLimit
from proxy.api.routes import router
from proxy.catalogue import Catalogue
from proxy.contexts import Contexts
from proxy.families import NETWORKS, model_name
from proxy.jobs import Jobs
from proxy.model_server import ModelServer
from proxy.queue import Queue
from proxy.servers import Servers
from proxy.service import Service
from proxy.settings import Settings
from proxy.works import Works

_CONNECTIONS = 100


def worker() -> FastAPI:
    """The application as each worker process makes it for itself, from the environment."""
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return create_app(settings)


def create_app(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """The application; it reaches the model servers through `transport`, by default the network."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            clients = [_client(url, settings, transport) for url in settings.model_server_urls]
            servers = Servers(
                [await stack.enter_async_context(client) for client in clients],
                call_seconds=settings.call_timeout_seconds,
                probe_path=f"/v1/models/{model_name(settings.families[0], NETWORKS[0])}",
            )
            stack.push_async_callback(servers.close)
            server = ModelServer(servers)
            app.state.service = Service(
                server,
                Catalogue(server, settings.families, tokenizer.LENGTH),
                tokenizer.bundled(),
                Contexts(settings.context_cache_bytes),
                Queue(settings.concurrent_requests),
                steps_per_call=settings.steps_per_call,
                rows_per_call=settings.rows_per_call,
                request_seconds=settings.request_seconds,
            )
            app.state.jobs = Jobs(app.state.service)
            stack.push_async_callback(app.state.jobs.close)
            app.state.works = Works()
            yield

    app = FastAPI(
        title="Easel", summary="A caption becomes a picture.", lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.include_router(router)
    for api in (events, openai, automatic1111, picture):
        app.include_router(api.router)
    pages.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Ending)
    failures.install(app)
    return app


def _client(url: str, settings: Settings, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    """One pool for all requests to a server; a request waits for a free connection for as long as it takes."""
    return httpx.AsyncClient(
        base_url=url,
        limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
        timeout=httpx.Timeout(settings.call_timeout_seconds, connect=settings.connect_timeout_seconds, pool=None),
        transport=transport,
        # The model server is a neighbour: HTTP_PROXY and the like are for the world outside.
        trust_env=False,
    )
