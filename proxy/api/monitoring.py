"""What Prometheus reads."""

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from proxy import metrics

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def get_metrics() -> Response:
    """All that was counted, and how things are."""
    return Response(await asyncio.to_thread(metrics.page), media_type=CONTENT_TYPE_LATEST)
