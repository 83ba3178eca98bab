"""Predict with torch: for folders without a graph, machines without OpenVINO, and networks that are not in a folder
yet."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from frostline.data.manifest import Row
from frostline.data.views import EvaluationView
from frostline.inference.openvino_graph import Whole
from frostline.ship.folder import open_folder
from frostline.ship.model_info import ModelInfo
from frostline.ship.predictor import BATCH, Answer, Outputs, answers


class TorchPredictor:
    """A model folder that answers through torch, on the CPU, in float32.

    trust: as ``open_folder``.

    Raises: CheckpointError, WeightsError: as ``open_folder``.
    """

    engine = "torch"

    def __init__(self, folder: Path, *, trust: str | None = None) -> None:
        shipped = open_folder(folder, trust=trust)
        self._take(shipped.net, shipped.about)

    @classmethod
    def of(cls, net: nn.Module, about: ModelInfo) -> Self:
        """The same for a network in memory, on whatever device it is; it is put into eval mode."""
        made = cls.__new__(cls)
        made._take(net, about)
        return made

    def _take(self, net: nn.Module, about: ModelInfo) -> None:
        self.about = about
        self._view = EvaluationView(about.preprocessing)
        self._device = next((tensor.device for tensor in net.state_dict().values()), torch.device("cpu"))
        head = "" if about.novelty is None else about.novelty.head
        self._whole = Whole(net, about.preprocessing, head=head).to(self._device).eval()

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, K) float32 of pictures (N, H, W, 3) uint8 that have been through the evaluation view."""
        return self._outputs(pixels)[0]

    def see(self, pixels: NDArray[np.uint8]) -> Outputs:
        """The same logits, and distances from the training pictures where the model knows them."""
        logits, *features = self._outputs(pixels)
        novelty = self.about.novelty
        return logits, None if novelty is None else novelty.distances(features[0])

    @torch.inference_mode()
    def _outputs(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        return [found.float().cpu().numpy() for found in self._whole(torch.from_numpy(pixels).to(self._device))]

    def predict(self, rows: Iterable[Row], *, batch: int = BATCH) -> Iterator[Answer]:
        """One Prediction or Failure a row, in the rows' order, a batch at a time."""
        return answers(rows, self._view, self.see, self.about, batch)
