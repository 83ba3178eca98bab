"""A network that takes pictures as they are decoded: the one place where pictures are normalised."""

import torch
from torch import Tensor, nn

from frostline.data.views import Preprocessing


class Normalise(nn.Module):
    """Pictures (N, H, W, 3) uint8 -> (N, 3, H, W) float32 with the mean and standard deviation of a preprocessing."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        for name, values in (("mean", preprocessing.mean), ("std", preprocessing.std)):
            given = torch.tensor(values, dtype=torch.float32, device="cpu")  # whatever the program's defaults are
            self.register_buffer(name, 255 * given.view(1, -1, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        mean, std = self.mean.to(pictures.device), self.std.to(pictures.device)
        return (pictures.permute(0, 3, 1, 2).float() - mean) / std


class Network(nn.Module):
    """Normalise, then a network or a prefix of one: pictures (N, H, W, 3) uint8 -> a tuple of outputs.

    head: path of the module whose input (N, D) is given too, or "".
    """

    def __init__(self, net: nn.Module, preprocessing: Preprocessing, *, head: str = "") -> None:
        super().__init__()
        self.normalise = Normalise(preprocessing)
        self.net = net
        self.head = head
        self.size = preprocessing.size

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next((tensor.device for tensor in self.net.state_dict().values()), torch.device("cpu"))

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """What the network gives; with a head, its input (N, D) beside it."""
        x = self.normalise(pictures)
        if not self.head:
            return (self.net(x),)
        seen: list[Tensor] = []
        # hung up for one forward only, so that the network is left as it was
        hook = self.net.get_submodule(self.head).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            found: Tensor = self.net(x)
        finally:
            hook.remove()
        return found, seen[-1].flatten(1)
