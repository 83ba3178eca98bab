"""What the trunk reaches of what the machine can do: its matrix peak, measured, times the network's operations."""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.peers import TRUNK
from bench.place import Place
from bench.rows import Found


def run(place: Place) -> Found:
    """In a process of its own, so that this one stays small (see `runner`)."""
    words = [sys.executable, "-m", "bench.sections.peak", place.ants_bees, place.work / "caches" / "peak"]
    facts = subprocess.check_output([*words, *(["quick"] if place.quick else [])], text=True)
    return Found(facts=json.loads(facts))


def measured(pictures: Path, cache: Path, *, quick: bool) -> dict[str, str]:
    """Matrix products by torch, the trunk by each engine, decoding, and OpenVINO's own profile."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from frostline.data.views import EvaluationView
    from frostline.inference import network as networks
    from frostline.inference import openvino_engine, torch_engine
    from frostline.inference.engine import Function
    from frostline.net import zoo
    from frostline.net.stages import cut
    from frostline.processors import processors

    torch.set_num_threads(processors())
    side = 1024 if quick else 4096
    peaks = {
        kind: _matrix_peak(side, getattr(torch, name)) for kind, name in (("fp32", "float32"), ("bf16", "bfloat16"))
    }
    backbone = zoo.build(TRUNK, classes=2)
    prefix, _ = cut(backbone.net, "head")
    network = networks.Network(prefix, backbone.preprocessing).eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.zeros(1, *backbone.preprocessing.size, 3, dtype=torch.uint8))
    operations = counter.get_total_flops()

    files = sorted(pictures.rglob("*.jpg"))[:64]
    view = EvaluationView(backbone.preprocessing)
    decoding = _seconds(lambda: [view(path) for path in files], 3) / len(files)
    batch = np.stack([view(path) for path in files])
    facts = {}
    facts["fp32 matrix peak, torch, all cores"] = f"{peaks['fp32'] / 1e9:.0f} GFLOP/s"
    facts["bf16 matrix peak, torch, all cores"] = f"{peaks['bf16'] / 1e9:.0f} GFLOP/s"
    facts[f"operations of {TRUNK} at {backbone.preprocessing.size[0]} px, a picture"] = f"{operations / 1e9:.2f} GFLOP"
    facts["decoding and resizing a picture, one core"] = f"{decoding * 1e3:.1f} ms"
    for name, make in (("openvino", openvino_engine.make), ("torch", torch_engine.make)):
        for kind in ("fp32", "bf16"):
            function = Function(lambda: network, f"bench-{name}-{kind}", backbone.preprocessing.size, device="cpu")
            engine = make(function, kind, processors(), cache)
            engine.run(batch[:8])
            rate = len(batch) / _seconds(lambda engine=engine: engine.run(batch), 1 if quick else 5)
            share = rate * operations / peaks[kind]
            facts[f"trunk by {name} {kind}"] = (
                f"{rate:.0f} pictures/s, {rate * operations / 1e9:.0f} GFLOP/s: {share:.0%} of the {kind} peak"
            )
    facts["where OpenVINO fp32 spends its time, one core"] = _profile(network, batch)
    return facts


def _matrix_peak(side: int, kind: Any) -> float:
    """Operations a second of a square matrix product; the best of some, for a peak is what is meant."""
    import torch

    a, b = torch.randn(side, side, dtype=kind), torch.randn(side, side, dtype=kind)
    torch.mm(a, b)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def _seconds(work: Callable[[], object], times: int) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return median(took)


def _profile(network: Any, batch: Any) -> str:
    """Shares of time by kind of layer, as OpenVINO measures them."""
    from frostline.inference.convert import one_by_one
    from frostline.inference.openvino_import import openvino

    module = openvino()
    model = one_by_one(network, batch.shape[1:3], batch.shape[3])
    options = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1", "PERF_COUNT": True}
    request = module.Core().compile_model(model, "CPU", options).create_infer_request()
    spent: defaultdict[str, float] = defaultdict(float)
    for number in range(12):
        request.infer({0: batch[[number % len(batch)]]})
        if number < 2:
            continue
        for layer in request.profiling_info:
            kind = layer.node_type
            if "Convolution" in kind:
                kind = (
                    "depthwise convolutions" if "Group" in kind or "dw" in layer.exec_type.lower() else "convolutions"
                )
            spent[kind] += layer.real_time.total_seconds()
    total = sum(spent.values()) or 1.0
    shares = sorted(spent.items(), key=lambda item: -item[1])
    return ", ".join(f"{kind} {seconds / total:.0%}" for kind, seconds in shares if seconds / total >= 0.02)


if __name__ == "__main__":
    print(json.dumps(measured(Path(sys.argv[1]), Path(sys.argv[2]), quick=len(sys.argv) > 3)))
