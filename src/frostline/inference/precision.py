"""What this machine computes in: the one place that asks the hardware about bfloat16."""

import torch


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
