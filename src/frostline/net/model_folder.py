"""A model folder in timm's form, on disk or on the hub, before it is built: it may ask for no more than its weights.

`timm_config` says what its configuration may say at all, `zoo` builds by it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm

from frostline.errors import CheckpointError, FrostlineError, UnknownName, WeightsError, one_line
from frostline.net import layout, timm_config, weight_sources
from frostline.net.tensor_names import State
from frostline.net.timm_config import CONFIG
from frostline.net.undisturbed import seeded
from frostline.net.weight_sources import Published

HUB = "hf-hub:"
FOLDER = "local-dir:"

_SPARE = 32 << 20  # numbers: of a head that the weights lack
_LARGEST = 1 << 30  # numbers, where no weights are read
_MOST_TENSORS = 10_000  # where no weights are read
_AGAIN = "is the folder whole, and of one model? take it again from where it came"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """path: where it is on this machine. published: where its weights are, if it is of the hub."""

    path: Path
    published: Published

    @property
    def name(self) -> str:
        """What timm builds it by."""
        return f"{FOLDER}{self.path}"

    @property
    def config(self) -> Path:
        """Where its configuration is."""
        return self.path / CONFIG


def named(name: str) -> ModelFolder | None:
    """The folder that a model's name is of, or None; of one on the hub the configuration is fetched.

    Raises: UnknownName: there is no such folder. WeightsError: the hub does not give it.
    """
    if name.startswith(HUB):
        repository = name.removeprefix(HUB)
        # timm would fetch it with long retries; as a folder in the cache it reads it without a network
        return ModelFolder(weight_sources.hub_file(repository, CONFIG).parent, Published(repository))
    if not name.startswith(FOLDER):
        return None
    folder = Path(name.removeprefix(FOLDER))
    if not (folder / CONFIG).is_file():
        raise UnknownName(f"there is no model folder called {name!r}: it has no {CONFIG}", hint="check the path")
    return ModelFolder(folder, Published())


def checked(folder: ModelFolder, states: Mapping[str, State] | None) -> tuple[str, dict[str, Any]]:
    """The name of its architecture and what that is built with, once it was seen that it can be and that it is no
    larger than its weights. Nothing of its size is allocated.

    states: of its weights file; None if none is read.

    Raises: CheckpointError: its configuration is damaged, or no network can be built by it. WeightsError: the network
        is larger than the weights.
    """
    config = timm_config.read(folder.config)
    found = timm_config.architecture(config, folder.config)
    arguments = timm_config.arguments(config, folder.config)
    timm_config.published(config, folder.config)
    tensors, numbers = _MOST_TENSORS, _LARGEST
    if states is not None:
        tensors = max(map(len, states.values()))
        numbers = max(sum(tensor.numel() for tensor in state.values()) for state in states.values())
    with refusals(folder), seeded(0):
        net = layout.laid_out(lambda: timm.create_model(folder.name, pretrained=False), tensors)
        wanted = sum(tensor.numel() for tensor in net.state_dict().values())
        if wanted > 2 * numbers + _SPARE:  # twice: positions are resampled to larger pictures
            raise WeightsError(f"the network is of {wanted:,} numbers, and its weights are {numbers:,}")
        layout.refuse_large_buffers(net, 4 * numbers)
    return found, arguments


@contextmanager
def refusals(folder: ModelFolder) -> Iterator[None]:
    """Whatever timm makes of what a damaged or hostile configuration says, as an error of ours.

    Raises: CheckpointError: timm raised anything.
    """
    try:
        yield
    except FrostlineError as error:
        raise type(error)(error.what, where=error.where or folder.config, hint=error.hint or _AGAIN) from None
    except Exception as error:
        said = one_line(str(error))[:200] or type(error).__name__
        raise CheckpointError(f"no network can be built by it: {said}", where=folder.config, hint=_AGAIN) from None
