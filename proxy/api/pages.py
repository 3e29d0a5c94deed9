"""The web page, the documentation's page, and what they are made of: files that need no other host."""

import os
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

_FILES = Path(__file__).parents[1] / "static"
# Notebooks show the page in a frame: those of this machine from another port, Colab from two hosts of its own.
_NOTEBOOKS = "http://localhost:* http://127.0.0.1:* https://colab.research.google.com https://*.googleusercontent.com"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    f"base-uri 'none'; form-action 'none'; frame-ancestors 'self' {_NOTEBOOKS}"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    # The browser asks each time whether a file has changed: pages and scripts of two versions would not fit together.
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)
docs_router = APIRouter(include_in_schema=False)


def install(app: FastAPI, *, docs: bool) -> None:
    """Serve the pages and their files; docs: also the documentation."""
    app.include_router(router)
    if docs:
        app.include_router(docs_router)
    app.mount("/static", _Files(directory=_FILES))


class _Files(StaticFiles):
    """The files beside the pages, with the pages' headers. A page itself has an address of its own, or none."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        return ("", None) if path.endswith(".html") else super().lookup_path(path)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_HEADERS)
        return response


@router.get("/")
async def get_root() -> FileResponse:
    """The page that draws."""
    return FileResponse(_FILES / "index.html", headers=_HEADERS)


@docs_router.get("/docs")
async def get_docs() -> FileResponse:
    """The page that shows /openapi.json."""
    return FileResponse(_FILES / "docs.html", headers=_HEADERS)
