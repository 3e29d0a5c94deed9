"""AUTOMATIC1111's text in pictures, read back whole."""

from proxy.infotext import Infotext, fields


def parse(text: str) -> Infotext:
    """What was written. Raises ValueError if a field is missing or no number."""
    found = fields(text)
    try:
        return Infotext(
            caption=found["Prompt"],
            negative_caption=found["Negative prompt"],
            steps=int(found["Steps"]),
            sampler=found["Sampler"],
            guidance_scale=float(found["CFG scale"]),
            seed=int(found["Seed"]),
            width=int(found["Size-1"]),
            height=int(found["Size-2"]),
            model=found["Model"],
        )
    except KeyError as exc:
        raise ValueError(f"there is no {exc}") from exc
