"""Fine-tune any pretrained image model on your own pictures. What lies below the frost line is computed once.

``from frostline import ImageClassifier`` is the whole tool as a scikit-learn estimator; ``create``, ``freeze``,
``unfreeze``, ``param_groups``, ``summary``, ``stages`` and ``cut`` are parts for your own loop. Names are imported
when they are first used, so that ``import frostline`` costs nothing.
"""

import sys
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frostline.classifier import ImageClassifier
    from frostline.errors import FrostlineError
    from frostline.net.freeze import freeze, hold_statistics, param_groups, summary, unfreeze
    from frostline.net.stages import cut, stages
    from frostline.net.zoo import create
    from frostline.train.plan import Lora, Plan, Recipe, Solve, Train
    from frostline.train.strategies import strategy

__version__ = "0.1.0"
_BEGAN = monotonic()  # the command counts its seconds from here, imports and all

_HOMES = {
    "ImageClassifier": "frostline.classifier",
    "FrostlineError": "frostline.errors",
    "cut": "frostline.net.stages",
    "freeze": "frostline.net.freeze",
    "hold_statistics": "frostline.net.freeze",
    "param_groups": "frostline.net.freeze",
    "summary": "frostline.net.freeze",
    "unfreeze": "frostline.net.freeze",
    "stages": "frostline.net.stages",
    "create": "frostline.net.zoo",
    "Lora": "frostline.train.plan",
    "Plan": "frostline.train.plan",
    "Recipe": "frostline.train.plan",
    "Solve": "frostline.train.plan",
    "Train": "frostline.train.plan",
    "strategy": "frostline.train.strategies",
}

__all__ = [
    "FrostlineError",
    "ImageClassifier",
    "Lora",
    "Plan",
    "Recipe",
    "Solve",
    "Train",
    "create",
    "cut",
    "freeze",
    "hold_statistics",
    "param_groups",
    "stages",
    "strategy",
    "summary",
    "unfreeze",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'frostline' has no attribute {name!r}")
    if "ipykernel" in sys.modules:
        import_module("frostline.workflows.progress")  # before timm, whose hub warns there that bars are text
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
