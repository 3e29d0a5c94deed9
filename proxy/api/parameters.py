"""The parameters of /generate, the same in a query string and in JSON, and what is allowed for each."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from starlette.requests import Request

from proxy.api.answers import ParameterEntry
from proxy.errors import InvalidParametersError
from proxy.noise import LARGEST_SEED
from proxy.pace import MOST_STEPS_PER_CALL
from proxy.pictures import Format
from proxy.samplers import SAMPLERS
from proxy.service import Order
from proxy.tokenizer import clean

# Far more than the network reads. Two of them, percent-encoded, leave room in a request's head of 64 kB; and in a
# JPEG's 64 kB of EXIF, where an emoji takes 12 ASCII characters.
LONGEST_CAPTION = 2_500
MOST_CAPTION_BYTES = 7_500
MOST_PICTURES = 16
MOST_STEPS = 150
_MOST_NAMES = 100
_LARGEST_SIZE = 2**31 - 1
_LONGEST_SECONDS = 86_400


def _not_boolean(value: Any) -> Any:
    """JSON's true is not a number, though Python says it is 1."""
    if isinstance(value, bool):
        raise ValueError("a boolean")  # noqa: TRY004 - pydantic reports ValueError only
    return value


def _not_empty(caption: str) -> str:
    if not clean(caption):
        raise ValueError("nothing to draw")
    return caption


def _not_too_many_bytes(caption: str) -> str:
    if len(caption.encode()) > MOST_CAPTION_BYTES:
        raise ValueError("too many bytes")
    return caption


_NUMBER = BeforeValidator(_not_boolean)
Whole = Annotated[int, _NUMBER]
Real = Annotated[float, _NUMBER]
# Limits come first where a parameter may be left open: otherwise pydantic does not say them in its schema.
Side = Annotated[int, Field(ge=1, le=_LARGEST_SIZE), _NUMBER]
Text = Annotated[str, Field(max_length=LONGEST_CAPTION), AfterValidator(_not_too_many_bytes)]
_LONGEST = f"at most {LONGEST_CAPTION} characters and {MOST_CAPTION_BYTES} bytes of UTF-8"


class Strict(BaseModel):
    """Parameters of which none may be unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _few(cls, data: Any) -> Any:
        """A body of 1 MB has room for a hundred thousand names, and pydantic has an error for each it does not know."""
        if isinstance(data, dict) and len(data) > _MOST_NAMES:
            raise InvalidParametersError.one("number of parameters", len(data), f"at most {_MOST_NAMES}")
        return data


class Parameters(Strict):
    """What to draw. Each description is what error messages call allowed."""

    caption: Annotated[Text, AfterValidator(_not_empty)] = Field(
        description=f"text that is not empty, {_LONGEST}", examples=["red heart"]
    )
    negative_caption: Text = Field("", description=f"text of {_LONGEST}", examples=["blurry"])
    steps: Whole = Field(15, ge=1, le=MOST_STEPS, description=f"a whole number from 1 to {MOST_STEPS}", examples=[15])
    guidance_scale: Real = Field(
        7.5, ge=0, le=50, allow_inf_nan=False, description="a number from 0 to 50", examples=[7.5]
    )
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED), _NUMBER] | None = Field(
        None, description=f"a whole number from 0 to {LARGEST_SEED}, or none for a random one", examples=[42]
    )
    sampler: Literal[tuple(SAMPLERS)] = Field(  # type: ignore[valid-type]
        "euler", description=f"one of {', '.join(SAMPLERS)}", examples=["euler"]
    )
    n: Whole = Field(1, ge=1, le=MOST_PICTURES, description=f"a whole number from 1 to {MOST_PICTURES}", examples=[1])
    width: Side | None = Field(None, description="the width of a size that GET /models lists", examples=[128])
    height: Side | None = Field(None, description="the height of a size that GET /models lists", examples=[128])
    format: Format = Field(Format.PNG, description=f"one of {', '.join(Format)}", examples=["png"])
    family: str | None = Field(None, description="a family that GET /models lists", examples=["emoji"])
    steps_per_call: Annotated[int, Field(ge=1, le=MOST_STEPS_PER_CALL), _NUMBER] | None = Field(
        None,
        description=f"a whole number from 1 to {MOST_STEPS_PER_CALL}, or none for what takes a quarter of a second",
        examples=[5],
    )

    deadline_seconds: Annotated[float, Field(gt=0, le=_LONGEST_SECONDS, allow_inf_nan=False), _NUMBER] | None = Field(
        None,
        description=f"seconds, above 0 and at most {_LONGEST_SECONDS}, or none for as long as the server allows",
        examples=[60],
    )

    def order(self) -> Order:
        """The same as the service reads it, without what subclasses add."""
        return Order(**{name: getattr(self, name) for name in Parameters.model_fields})


class CaptionQuery(BaseModel):
    """What to count the tokens of."""

    caption: Text = Field(description=f"text of {_LONGEST}", examples=["red heart"])


def allowed(parameter: str) -> str:
    """What is allowed for the parameter, in words; for an unknown one, which parameters there are."""
    field = Parameters.model_fields.get(parameter)
    return str(field.description) if field else f"one of the parameters {', '.join(Parameters.model_fields)}"


def described() -> dict[str, ParameterEntry]:
    """What each parameter may be, as pydantic checks it."""
    properties = Parameters.model_json_schema()["properties"]
    return {name: _entry(schema) for name, schema in properties.items()}


def _entry(schema: Mapping[str, Any]) -> ParameterEntry:
    """A parameter that may be left open is one of two schemas, the second of them null."""
    allowed = schema["anyOf"][0] if "anyOf" in schema else schema
    return ParameterEntry(
        type=allowed.get("type", "string"),
        minimum=allowed.get("minimum"),
        maximum=allowed.get("maximum"),
        longest=allowed.get("maxLength"),
        default=schema.get("default"),
        description=schema["description"],
    )


def once(request: Request, query: BaseModel) -> None:
    """Raise InvalidParametersError if one is given twice in the query, which would leave open which is meant."""
    for name in query.model_fields_set:
        if len(values := request.query_params.getlist(name)) > 1:
            raise InvalidParametersError.one(name, values, "given once")
