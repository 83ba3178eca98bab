"""What a shell offers behind an option: strategies, models, forms, languages. Nothing heavy is loaded for it."""

from collections.abc import Callable

STRATEGIES = (
    *("auto", "probe", "freeze", "discriminative", "layerwise", "gradual"),
    *("lp-ft", "full", "bitfit", "norm", "lora", "head2toe"),
)
FORMS = ("onnx", "openvino", "torch", "int8")
LANGUAGES = ("en", "zh")
KEPT = (
    *("store", "archives", "compiled", "engines", "digests.sqlite", "remote", "demo", "models"),
    *("graphs", "openvino"),
)
KNOWN: dict[str, tuple[str, ...]] = {
    "strategy": STRATEGIES,
    "lang": LANGUAGES,
    "to": FORMS,
    "engine": ("auto", "openvino", "torch"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "augment": ("none", "flip", "basic", "resized-crop", "trivial", "rand"),
    "schedule": ("constant", "step", "cosine", "one-cycle", "plateau"),
    "balance": ("none", "sampling", "weights"),
    "keep": ("best", "last"),
    "frozen_norm": ("hold", "hold-all", "update"),
    "refit": ("auto", "on", "off"),
    "precision": ("auto", "fp32", "bf16"),
    "answering": ("fp32", "bf16"),  # the precision of a model that is there
    "tta": ("flip",),
    "only": KEPT,
}


def offered(option: str) -> Callable[[str], list[str]] | None:
    """The completion of an option, or None where its values are not a list."""
    if option == "model":
        return models
    known = KNOWN.get(option)
    return None if known is None else lambda incomplete: [name for name in known if name.startswith(incomplete)]


def plain(help: str) -> str:
    """Help as it is: what stands in brackets is no markup."""
    return help.replace("[", r"\[")


def models(incomplete: str) -> list[str]:
    """Names of models that begin so."""
    from frostline.net.available import available

    return [model.name for model in available(f"{incomplete}*")]
