"""A model folder, opened as a torch network with all that the folder says of it."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from frostline.data.views import Preprocessing
from frostline.errors import CheckpointError, WeightsError, one_line
from frostline.net.true_numbers import refuse_not_finite, refuse_odd
from frostline.net.undisturbed import plain_torch, undisturbed
from frostline.ship import architecture
from frostline.ship import model_info as _about
from frostline.ship.file_names import ABOUT, CONFIG, WEIGHTS
from frostline.ship.model_info import ModelInfo


@dataclass(frozen=True)
class Shipped:
    """A model folder, opened.

    net: in eval mode, on the CPU; it takes normalised float32 (N, 3, H, W) and gives logits (N, K).
    about: classes, preprocessing, temperature, metrics, plan, versions, digests.
    again: the name that such a network may be built by once more.
    """

    net: nn.Module
    about: ModelInfo
    again: str

    @property
    def classes(self) -> tuple[str, ...]:
        """What the outputs mean, in their order."""
        return self.about.classes

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to a picture before the network sees it."""
        return self.about.preprocessing


def open_folder(folder: Path, *, trust: str | None = None) -> Shipped:
    """Build the network that a model folder (or a run's folder) describes and load its weights.

    trust: the ``package.module:factory`` that may be imported and run. It must be named by who opens the folder; that
        the folder names it is not enough.

    Raises: CheckpointError: the folder is damaged, or its factory is not trusted. WeightsError: weights that are
        damaged or belong to another architecture.
    """
    folder = _about.located(folder)
    about = _about.read(folder)
    _about.check_files(folder, about, (CONFIG,))
    _about.check_lengths(folder, about, (WEIGHTS,))
    with undisturbed():
        net = architecture.build(folder, about, trust=trust)
    _about.check_files(folder, about, (WEIGHTS,))
    about = _about.recalled(folder, about)
    try:
        state = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        said = one_line(str(error))[:200]
        raise WeightsError(f"damaged weights: {said}", where=folder / WEIGHTS, hint="copy the folder again") from None
    wanted, given = ({n: tuple(t.shape) for n, t in held.items()} for held in (net.state_dict(), state))
    architecture.compare(wanted, given, folder / WEIGHTS)
    refuse_odd(net, state, folder / WEIGHTS)
    refuse_not_finite(net, state, folder / WEIGHTS)
    with plain_torch():
        net.load_state_dict(state)
    _check_head(net, about, folder)
    return Shipped(net.eval(), about, architecture.again(folder, about, trust=trust))


def _check_head(net: nn.Module, about: ModelInfo, folder: Path) -> None:
    try:
        net.get_submodule("" if about.novelty is None else about.novelty.head)
    except AttributeError as error:
        said = one_line(str(error))[:200]
        raise CheckpointError(
            f"novelty is judged in front of a module that is not there: {said}",
            where=folder / ABOUT,
            hint="copy the folder again from where it came, or fit the model again",
        ) from None
