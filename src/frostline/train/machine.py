"""Where a run happens: device, precision, processes. The one place that knows accelerate.

``accelerate launch -m frostline fit ...`` starts one process a device; everything else stays the same command.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from frostline.errors import PlanError

if TYPE_CHECKING:
    from accelerate import Accelerator

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Machine:
    """A device with its precision, and this process's place among the others.

    precision: "fp32", "bf16" or "fp16", never "auto".
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
    def first(self) -> bool:
        """Whether this process is the one that writes files and speaks."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[None]:
        """Mixed precision for forward and loss."""
        context: AbstractContextManager[None] = self.accelerator.autocast()
        return context

    def syncing(self, suffix: nn.Module, *, when: bool) -> AbstractContextManager[Any]:
        """Gradients are averaged over processes only in the last batch of an optimizer step."""
        return nullcontext() if when or self.processes == 1 else self.accelerator.no_sync(suffix)

    def gathered(self, found: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """All processes' arrays one after the other, in order of rank; every picture exactly once."""
        if self.processes == 1:
            return np.concatenate(found)
        from accelerate.utils import gather_object

        return np.concatenate([part for part in gather_object(list(found)) if len(part)])

    def collected(self, mine: Any) -> list[Any]:
        """Every process's value, in order of rank."""
        if self.processes == 1:
            return [mine]
        from accelerate.utils import gather_object

        found: list[Any] = gather_object([mine])
        return found

    def agreed(self, value: float) -> float:
        """The first process's value, in every process: what depends on the clock must be decided once."""
        if self.processes == 1:
            return value
        return float(self.collected(value)[0])

    def prepared(self, suffix: nn.Module) -> nn.Module:
        """The suffix as this machine trains it; with several processes its gradients are averaged."""
        if self.processes == 1:
            return suffix
        network: nn.Module = self.accelerator.prepare_model(suffix)
        return network

    def wait(self) -> None:
        """Until every process is here."""
        self.accelerator.wait_for_everyone()


def launched_processes() -> tuple[int, int]:
    """(rank, processes) as the launcher tells them in the environment, without importing accelerate."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def open_machine(
    device: str = "auto", precision: str = "auto", track: str | None = None, folder: Path | None = None
) -> Machine:
    """The machine for gradient descent.

    device: "auto" (CUDA, then MPS, then CPU), "cpu", "cuda" or "mps".
    precision: one of `PRECISIONS`; "auto" is bf16 where the hardware computes in it, else fp32.
    track: trackers of accelerate, joined by commas ("tensorboard", "wandb", ...); folder: where they
        write.

    Raises: PlanError: the device is not there, or the precision is unknown.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if precision not in PRECISIONS:
        raise PlanError(f"the precision {precision!r} is not one of {', '.join(PRECISIONS)}", where="--precision")
    there = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device, False):
        here = ", ".join(name for name, present in there.items() if present)
        raise PlanError(f"there is no device {device!r} here", where="--device", hint=f"one of: {here}")
    if launched_processes()[1] == 1:
        AcceleratorState._reset_state(
            reset_partial_state=True
        )  # a second fit in one process may want another precision
    chosen = best_precision(device) if precision == "auto" else precision
    mixed = "no" if chosen == "fp32" else chosen
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision=mixed,
        log_with=track.split(",") if track else None,
        project_dir=folder or "." if track else None,
    )
    if track:
        accelerator.init_trackers("frostline")
    return Machine(accelerator, chosen)


def best_precision(device: str = "auto") -> str:
    """bf16 where the hardware computes in it (CUDA since Ampere, CPUs with AVX512-BF16 or AMX), else fp32."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "mps" or (device == "auto" and torch.backends.mps.is_available()):
        return "fp32"
    return "bf16" if cpu_has_bf16() else "fp32"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 itself; emulated, it would be slower than float32."""
    test = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool((test and test()) or (amx and amx()))
