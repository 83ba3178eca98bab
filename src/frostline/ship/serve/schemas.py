"""What is said of a picture: plain values for JSON, and the models by which OpenAPI describes them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from starlette.responses import Response

from frostline.errors import DecodeError
from frostline.ship.model_info import ModelInfo
from frostline.ship.predictor import Prediction, best, label_of
from frostline.ship.serve.engines import Found


class Named(BaseModel):
    """A class and its probability, after temperature."""

    label: str
    probability: float


class Answered(BaseModel):
    """One picture's answer: classes, or the error that kept it from being read."""

    name: str = Field(description="What the client called the picture.")
    label: str | None = Field(
        None, description="The answer; of several labels a picture, each of a half or more, joined by |."
    )
    probability: float | None = Field(
        None, description="That it is right; of several labels a picture, that the least sure decision is."
    )
    classes: list[Named] | None = Field(None, description="The likeliest classes, highest first.")
    sets: dict[str, list[str]] | None = Field(
        None, description="For each coverage that was asked for, the classes one of which is right that often."
    )
    novel: bool | None = Field(None, description="Whether the picture is out-of-distribution.")
    error: str | None = None


class Answers(BaseModel):
    """One answer a picture, in the request's order."""

    model: str = Field(description="The digest of the model that answered, as /info has it.")
    results: list[Answered]


class Fault(BaseModel):
    """Why a request was refused, and what to do about it."""

    error: str
    hint: str | None = None


def answered(
    name: str, seen: Found | DecodeError, about: ModelInfo, *, top: int, coverages: Sequence[float]
) -> dict[str, Any]:
    """One picture's answer as plain values.

    seen: what the network makes of it, or why it could not be decoded. coverages: in (0, 1), each gives a set where the
    model is calibrated for sets.
    """
    if isinstance(seen, DecodeError):
        return {"name": name, "error": seen.what}
    probabilities = about.probabilities(seen.logits[None])
    answer = Prediction(name, probabilities[0])
    label, sure = label_of(answer, about)
    classes = [{"label": one, "probability": round(p, 6)} for one, p in best(answer, about, top)]
    found: dict[str, Any] = {"name": name, "label": label, "probability": round(sure, 6), "classes": classes}
    if coverages and about.sets is not None:
        found["sets"] = {str(c): _members(about.sets.members(probabilities, c)[0], about) for c in coverages}
    if seen.novel is not None:
        found["novel"] = seen.novel
    return found


def _members(holds: NDArray[np.bool_], about: ModelInfo) -> list[str]:
    return [label for label, holding in zip(about.classes, holds, strict=True) if holding]


class Json(Response):
    """JSON, with names that UTF-8 cannot hold (a lone surrogate of an odd file name) as escapes."""

    media_type = "application/json"

    def render(self, content: Mapping[str, Any]) -> bytes:
        """UTF-8 of plain values."""
        try:
            return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            return json.dumps(content, separators=(",", ":")).encode()
