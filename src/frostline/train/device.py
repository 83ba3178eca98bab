"""Where a run happens: device, precision, processes, trackers. The one place that knows accelerate.

``accelerate launch -m frostline fit ...`` starts one process a device; everything else stays the same command.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.errors import MissingExtra, PlanError, one_line
from frostline.inference.precision import best_precision
from frostline.processors import LAUNCHER_HINT, launched_processes, processes_here
from frostline.train.cpu import bf16_autocast, self_test
from frostline.train.cpu.frozen_batchnorm_fusion import Fusion

if TYPE_CHECKING:
    from accelerate import Accelerator

# fp16 is not among them: it needs its loss scaled, and whatever trains in fp16 trains in bf16 without.
PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Device:
    """A device with its precision, and this process's place among the others.

    precision: "fp32" or "bf16", never "auto".
    """

    accelerator: "Accelerator"
    precision: str

    @property
    def device(self) -> torch.device:
        """Where tensors go."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def rank(self) -> int:
        """This process's number, from 0."""
        return int(self.accelerator.process_index)

    @property
    def processes(self) -> int:
        """How many there are."""
        return int(self.accelerator.num_processes)

    @property
    def fast_kernels(self) -> bool:
        """Whether slow kernels are worked around here (see `train.cpu`); their self-test has to hold."""
        return self.low_on_cpu and not self_test.disagreement()

    @property
    def low_on_cpu(self) -> bool:
        """Whether training is in low precision on a CPU, where torch has slow kernels."""
        return self.precision != "fp32" and self.device.type == "cpu"

    def sent(self, batch: Tensor) -> Tensor:
        """A batch on the device; on CUDA the host does not wait for the copy."""
        if self.device.type != "cuda":
            return batch.to(self.device)
        return batch.pin_memory().to(self.device, non_blocking=True)

    def autocast(self, fusions: Sequence[Fusion] | None = None) -> AbstractContextManager[None]:
        """Mixed precision for forward and loss. fusions: of the network that learns, if a backward pass follows."""
        # accelerate's own would replace the forward method of the network, which is used elsewhere as well.
        if self.precision == "fp32":
            return nullcontext()
        if fusions is not None and self.fast_kernels:
            return bf16_autocast.autocast(fusions)
        return torch.autocast(self.device.type, torch.bfloat16)

    def prepared(self, suffix: nn.Module) -> nn.Module:
        """The suffix as this machine trains it; with several processes its gradients are averaged."""
        if self.processes == 1:
            return suffix
        self.accelerator.free_memory()  # of the phase before
        network: nn.Module = self.accelerator.prepare_model(suffix)
        return network

    def syncing(self, suffix: nn.Module, *, when: bool) -> AbstractContextManager[Any]:
        """Gradients are averaged over processes only in the last batch of an optimizer step."""
        return nullcontext() if when or self.processes == 1 else self.accelerator.no_sync(suffix)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of every process's tensor."""
        if self.processes == 1:
            return value
        mean: Tensor = self.accelerator.reduce(value, "mean")
        return mean

    def alike(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values, in place: running statistics are each process's own."""
        if self.processes == 1:
            return
        for tensor in tensors:
            torch.distributed.broadcast(tensor, src=0)

    def gathered(self, found: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """All processes' arrays one after the other, in order of rank; every picture exactly once."""
        return np.concatenate([array for arrays in self.collected(list(found)) for array in arrays])

    def collected(self, mine: Any) -> list[Any]:
        """Every process's value, in order of rank."""
        if self.processes == 1:
            return [mine]
        from accelerate.utils import gather_object

        found: list[Any] = gather_object([mine])
        return found

    def agreed(self, value: float) -> float:
        """The first process's value, in every process: what depends on the clock must be decided once."""
        return float(self.collected(value)[0])

    def wait(self) -> None:
        """Until every process is here."""
        self.accelerator.wait_for_everyone()

    @property
    def tracked(self) -> bool:
        """Whether there is an experiment tracker to log to."""
        return bool(self.accelerator.trackers)

    def track(self, values: Mapping[str, float], step: int) -> None:
        """Log figures to the experiment trackers, if there are any."""
        if self.tracked:
            self.accelerator.log(dict(values), step=step)


def open_device(
    device: str = "auto", precision: str = "auto", track: str | None = None, folder: Path | None = None
) -> Device:
    """The machine for gradient descent.

    device: one of `DEVICES`; "auto" is the fastest that is here. precision: one of `PRECISIONS`; "auto" is bf16 where
    the hardware computes in it, else fp32. track: trackers of accelerate, joined by commas ("tensorboard", "wandb",
    ...); folder: where they write.

    Raises: PlanError: the device is not there, or the precision or a tracker is unknown. MissingExtra: a tracker is not
        installed.
    """
    if precision not in PRECISIONS:
        raise PlanError(
            f"the precision {precision!r} is unknown", where="--precision", hint=f"one of: {', '.join(PRECISIONS)}"
        )
    check_device(device)
    trackers = trackers_of(track) if track else []
    machine = Device(
        _accelerator(device, trackers, folder), best_precision(device) if precision == "auto" else precision
    )
    if trackers:
        machine.accelerator.init_trackers("frostline")
    return machine


def check_device(device: str) -> None:
    """Refuse a device that is not here, also for a run that would not use it.

    Raises: PlanError: it is not here.
    """
    here = [name for name in DEVICES if _is_here(name)]
    if device not in here:
        raise PlanError(f"there is no device {device!r} here", where="--device", hint=f"one of: {', '.join(here)}")


def _is_here(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_available()
    return device != "mps" or torch.backends.mps.is_available()


def _accelerator(device: str, trackers: list[str], folder: Path | None) -> "Accelerator":
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    def opened() -> "Accelerator":
        return Accelerator(
            cpu=_wanted(device) == "cpu", mixed_precision="no", log_with=trackers or None, project_dir=folder or "."
        )

    if _wanted(device) == "cuda" and processes_here() > (cards := torch.cuda.device_count()):
        raise PlanError(
            f"{processes_here()} processes were started on this machine, and it has {cards} GPU{'s' * (cards > 1)}",
            where="LOCAL_WORLD_SIZE",
            hint="start one a GPU, or give --device cpu",
        )
    try:
        accelerator = opened()
        if launched_processes()[1] > 1 or accelerator.device.type == _wanted(device):
            return accelerator
    except ValueError as error:
        if launched_processes()[1] > 1:
            raise PlanError(
                f"the processes cannot meet: {one_line(str(error))[:200]}", where="RANK/WORLD_SIZE", hint=LAUNCHER_HINT
            ) from None
    # accelerate keeps the first device and precision of a process for good; a second fit may want others.
    AcceleratorState._reset_state(reset_partial_state=True)
    return opened()


def _wanted(device: str) -> str:
    if device != "auto":
        return device
    found = torch.accelerator.current_accelerator(check_available=True)
    return found.type if found else "cpu"


def trackers_of(names: str) -> list[str]:
    """The experiment trackers of a text such as "tensorboard, wandb".

    Raises: PlanError: there is no such tracker. MissingExtra: it is not installed.
    """
    from accelerate.tracking import LoggerType, get_available_trackers

    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [str(kind.value) for kind in LoggerType]
    strange = [name for name in wanted if name not in known]
    if strange:
        raise PlanError(
            f"there is no tracker {strange[0]!r}", where="--track", hint=f"one or more of: {', '.join(sorted(known))}"
        )
    here = {"all", *(str(kind.value) for kind in get_available_trackers())}
    missing = [name for name in wanted if name not in here]
    if missing:
        raise MissingExtra(
            f"the tracker {missing[0]!r} is not installed", where="--track", hint=f"pip install {missing[0]}"
        )
    return wanted
