"""Puts the proxy together: settings in, ASGI application out."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from proxy import tokenizer
from proxy.api import automatic1111, events, failures, openai, pages, picture
from proxy.api.door import Door
from proxy.api.headers import SecurityHeaders
from proxy.api.limits import BodyLimit
from proxy.api.routes import router
from proxy.catalogue import Catalogue
from proxy.contexts import Contexts
from proxy.jobs import Jobs
from proxy.keyring import Keyring
from proxy.model_server import ModelServer
from proxy.queue import Queue
from proxy.servers import Servers
from proxy.service import Service
from proxy.settings import Settings
from proxy.works import Works

_CONNECTIONS = 100
_CORS_HEADERS = ["Authorization", "Content-Type", "Last-Event-ID"]
_CORS_ANSWERS = [
    "Easel-Seed",
    "Easel-Dropped-Caption",
    "Easel-Dropped-Negative-Caption",
    "Retry-After",
    "Server-Timing",
]

_log = logging.getLogger(__name__)


def worker() -> FastAPI:
    """The application as each worker process makes it for itself, from the environment."""
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    _tell_who_may_draw(settings)
    return create_app(settings)


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

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            clients = [_client(url, settings, transport) for url in settings.model_server_urls]
            server = ModelServer(Servers([await stack.enter_async_context(client) for client in clients]))
            app.state.service = Service(
                server,
                Catalogue(server, settings.families, tokenizer.LENGTH),
                tokenizer.bundled(),
                Contexts(settings.context_cache_bytes),
                Queue(
                    settings.concurrent_requests,
                    longest=settings.queue_length,
                    per_caller=settings.requests_per_caller,
                    own_limit=keyring.concurrent_requests if keyring else lambda _caller: None,
                ),
                steps_per_call=settings.steps_per_call,
                rows_per_call=settings.rows_per_call,
                pixel_steps_per_request=settings.pixel_steps_per_request,
            )
            app.state.jobs = Jobs(app.state.service)
            stack.push_async_callback(app.state.jobs.close)
            app.state.works = Works()
            yield

    app = FastAPI(
        title="Easel",
        summary="A caption becomes a picture.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the host and the path that were asked for
        openapi_url="/openapi.json" if settings.docs else None,
    )
    app.include_router(router)
    for api in (events, openai, automatic1111, picture):
        app.include_router(api.router)
    pages.install(app, docs=settings.docs)
    app.add_middleware(BodyLimit)
    app.add_middleware(
        Door,
        keyring=keyring,
        keys_in_query=settings.api_keys_in_query,
        requests_per_address=settings.requests_per_minute_per_address,
    )
    if settings.cors_origins:  # outside of the door, because browsers ask for leave without a key
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=_CORS_HEADERS,
            expose_headers=_CORS_ANSWERS,
        )
    failures.install(app)
    # Around all of it: a middleware of Starlette's would leave out the answer to a mistake.
    app.middleware_stack = SecurityHeaders(app.build_middleware_stack())
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
