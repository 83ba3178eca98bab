"""What the engines of clusters call: batches of pictures in, the same batches with answers out.

    Predict     classes, probabilities, prediction sets, out-of-distribution flags
    Embed       features of a model folder or of any backbone

Both are plain callables over mappings of columns: Ray Data, Spark, Daft, Dask and Hugging Face datasets take them as
they are. They pickle as their arguments, and open the model where they run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frostline.scale.embed import Embed
    from frostline.scale.predict import Predict

_HOMES = {"Predict": "frostline.scale.predict", "Embed": "frostline.scale.embed"}

__all__ = ["Embed", "Predict"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'frostline.scale' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)  # Predict brings in no torch
