"""Logits to probabilities: the one softmax. torch-free."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """(N, K) float64, each row sums to 1."""
    scaled = np.asarray(logits, dtype=np.float64)
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sigmoid(logits: NDArray[Any]) -> NDArray[np.float64]:
    """(N, K) float64 in [0, 1], each by itself; no logit is too large for it."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64))))


def probabilities(logits: NDArray[Any], *, temperature: float = 1.0, multilabel: bool = False) -> NDArray[np.float64]:
    """(N, K) float64 of logits (N, K) / temperature: a softmax, or a sigmoid each where the labels are several."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    return sigmoid(scaled) if multilabel else softmax(scaled)
