"""The routes: pictures, models and health."""

import asyncio
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from proxy.api.answers import (
    Catalogued,
    Counted,
    FamilyEntry,
    Generated,
    Network,
    SizeEntry,
    State,
    generated,
)
from proxy.api.description import ANYWHERE, BUG, DRAWING, NOT_READY, Responses, large, responses
from proxy.api.dialects import EASEL
from proxy.api.parameters import CaptionQuery, Parameters, described, once
from proxy.api.present import Present
from proxy.errors import InvalidParametersError, NotReadyError
from proxy.families import NETWORKS, Family, model_name
from proxy.jobs import Jobs
from proxy.pictures import Format
from proxy.samplers import SAMPLERS
from proxy.service import Result, Service
from proxy.tokenizer import CONTENT_LENGTH

# Servers and proxies on the way refuse a head of more than a few kilobytes; the JSON answer has the whole text.
_HEADER_CHARACTERS = 200
# Whoever asks wants to know it now, and is often given 5 s.
_READY_SECONDS = 3
_PICTURE: Responses = {
    200: {"content": {form.media_type: {} for form in Format}, "description": "The picture, or a grid of n"}
}
_NO_TEXT = InvalidParametersError.one("caption", None, EASEL.allowed("/tokens", "caption"))

router = APIRouter(responses=responses(EASEL, *ANYWHERE))
health = APIRouter(responses=responses(EASEL, BUG))


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


def _query(request: Request, query: Annotated[Parameters, Query()]) -> Parameters:
    once(request, query)
    return query


Served = Annotated[Service, Depends(_service)]
Worked = Annotated[Jobs, Depends(_jobs)]


@router.get("/generate", response_class=Response, responses={**_PICTURE, **responses(EASEL, *DRAWING)})
async def get_generate(request: Request, service: Served, query: Annotated[Parameters, Depends(_query)]) -> Response:
    """One picture; with n above 1, a grid of n pictures whose seeds count up from `seed`."""
    result = await service.draw(query.order(), Present(request))
    file = await result.grid_file()
    name = f'inline; filename="easel-{result.order.seed}.{result.order.format}"'
    headers = {**_headers(result), "Content-Disposition": name}
    return Response(file, headers=headers, media_type=result.order.format.media_type)


@router.post("/generate", response_model=Generated, responses=responses(EASEL, large("/generate"), *DRAWING))
async def post_generate(request: Request, service: Served, body: Parameters) -> Response:
    """Each of the n pictures with its seed, and how long every stage took."""
    result = await service.draw(body.order(), Present(request))
    answer = await generated(result)
    dumped = await asyncio.to_thread(lambda: orjson.dumps(answer.model_dump()))
    return Response(dumped, headers=_headers(result), media_type="application/json")


@router.get("/models", responses=responses(EASEL, NOT_READY))
async def get_models(service: Served) -> Catalogued:
    """The families, and what the proxy learned about them from the model server."""
    families = [await _entry(service, family) for family in await service.catalogue.check_all()]
    return Catalogued(families=families, samplers=list(SAMPLERS), formats=list(Format), parameters=described())


@router.get("/tokens", responses=responses(EASEL, _NO_TEXT))
async def get_tokens(request: Request, service: Served, query: Annotated[CaptionQuery, Query()]) -> Counted:
    """How much of a caption the networks read."""
    once(request, query)
    tokens = service.tokenizer(query.caption)
    return Counted(tokens=tokens.count, most=CONTENT_LENGTH, dropped=tokens.dropped)


@health.get("/healthz")
async def get_healthz() -> State:
    """Whether the proxy runs."""
    return State(status="ok")


@health.get("/readyz", responses=responses(EASEL, NOT_READY))
async def get_readyz(service: Served) -> State:
    """Whether every model of every family answers; if not, which ones do not."""
    try:
        async with asyncio.timeout(_READY_SECONDS):
            await service.catalogue.check_all()
    except TimeoutError as exc:
        raise NotReadyError(f"the model server did not answer within {_READY_SECONDS} s") from exc
    return State(status="ready")


def _headers(result: Result) -> dict[str, str]:
    """The seed, the time per stage as browsers show it, and the text that the networks never read."""
    timing = ", ".join(f"{stage};dur={seconds * 1000:.1f}" for stage, seconds in result.seconds.items())
    headers = {"Easel-Seed": str(result.order.seed), "Server-Timing": timing}
    dropped = {
        "Easel-Dropped-Caption": result.dropped_caption,
        "Easel-Dropped-Negative-Caption": result.dropped_negative_caption,
    }
    return headers | {name: quote(text[:_HEADER_CHARACTERS], safe=" ,;!") for name, text in dropped.items() if text}


async def _entry(service: Service, family: Family) -> FamilyEntry:
    descriptions = await service.catalogue.descriptions(family)
    counts = [description.get("parameters") for description in descriptions.values()]
    whole = [count for count in counts if isinstance(count, int)]
    names = {network: model_name(family.name, network) for network in NETWORKS}
    return FamilyEntry(
        name=family.name,
        token_length=family.token_length,
        context_width=family.context_width,
        sizes=[
            SizeEntry(width=size.width, height=size.height, latent_shape=list(size.latent_shape))
            for size in family.sizes
        ],
        parameters=sum(whole) if len(whole) == len(counts) else None,
        examples=_examples(descriptions[family.text_encoder]),
        networks={
            network: Network(model=model, version=family.versions[model], description=descriptions[model])
            for network, model in names.items()
        },
    )


def _examples(description: Mapping[str, object]) -> list[str]:
    """Captions that the text encoder says it knows; none if it was exported before it could say."""
    examples = description.get("examples")
    return [example for example in examples if isinstance(example, str)] if isinstance(examples, list) else []
