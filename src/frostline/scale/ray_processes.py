"""Several processes that Ray Train starts: for accelerate they are those of torchrun.

Ray sets what torchrun sets (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR) and joins the processes; what they do is what
they do under `torchrun`, bit for bit.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from frostline.errors import EngineError, FrostlineError, PlanError, one_line
from frostline.scale.on_ray import on_cluster


def in_processes(
    act: Callable[[], object], workers: int, *, state: Path, gpu: bool = True, address: str | None = None
) -> None:
    """Call `act` in so many processes at once, and wait for all.

    act: is pickled. state: a folder for Ray, which every machine reaches and which is removed. gpu: whether each may
    have a card, if there are as many.

    Raises: PlanError: the cluster has not so many cores. EngineError: Ray gave up. FrostlineError: as `act`.
    """
    with on_cluster(address) as ray:
        has = ray.cluster_resources()
        if has.get("CPU", 0) < workers:
            raise PlanError(
                f"the cluster has {has.get('CPU', 0):.0f} cores for {workers} processes",
                where="--workers",
                hint="ask for fewer, or add machines: ray start --address=...",
            )
        cards = gpu and has.get("GPU", 0) >= workers
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
        from ray.train.v2.api.exceptions import TrainingFailedError

        trainer = TorchTrainer(
            _one,
            train_loop_config={"act": act},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=cards),
            torch_config=TorchConfig(backend="nccl" if cards else "gloo"),
            run_config=RunConfig(storage_path=str(state.parent), name=state.name),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise _said(error) from None
        finally:
            shutil.rmtree(state, ignore_errors=True)


def _one(given: dict[str, Callable[[], object]]) -> None:
    given["act"]()


def _said(error: Exception) -> FrostlineError:
    """What the first process that failed said, in its own words if they are ours."""
    failures = getattr(error, "worker_failures", None) or {0: error}
    for one in failures.values():
        seen: BaseException | None = one
        while seen is not None:
            if isinstance(seen, FrostlineError):
                return seen
            seen = getattr(seen, "cause", None) or getattr(seen, "_base_exc", None) or seen.__cause__
    last = (str(next(iter(failures.values()))).strip().splitlines() or [type(error).__name__])[-1]
    return EngineError(f"Ray Train gave up: {one_line(last)[:200]}", where="--workers", hint="Ray's logs say more")
