"""What timm and torchvision can build, and where its weights are published: both are imported to say it."""

from collections.abc import Iterator

import timm
import torchvision

from frostline.net.weight_sources import Published

TORCHVISION = "torchvision/"
"""Before the names of torchvision."""


def published() -> Iterator[tuple[str, Published]]:
    """Every name of timm (with each tag too) and torchvision, and where its weights are published."""
    for name in (*timm.list_models(), *timm.list_pretrained()):
        config = timm.models.get_pretrained_cfg(name)
        yield name, Published.of(vars(config)) if config is not None else Published()
    for name in torchvision_names():
        yield f"{TORCHVISION}{name}", Published(url=torchvision.models.get_model_weights(name).DEFAULT.url)


def torchvision_names() -> list[str]:
    """Its classifiers, without the prefix."""
    return list(torchvision.models.list_models(module=torchvision.models))
