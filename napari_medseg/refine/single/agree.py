"""Neighbours that look alike agree: a mean-field pass over log-odds (a Potts model with contrast-sensitive edges, Boykov and Jolly, ICCV 2001)."""

from __future__ import annotations

import numpy as np

from napari_medseg.volume import FloatArray, Spacing

STRENGTH = 1.0
ROUNDS = 8


def agree(odds: FloatArray, image: FloatArray, spacing: Spacing) -> FloatArray:
    """Chances (z, y, x), 0-1, of log-odds (z, y, x) once neighbours have spoken.

    Farther neighbours count less, in proportion to their distance.
    """
    steps = [np.abs(np.diff(image, axis=axis)) for axis in range(3)]
    usual = 2 * float(np.median(np.concatenate([step.ravel() for step in steps[1:]]))) + 1e-6
    ties = [np.exp(-0.5 * (step / usual) ** 2) * (min(spacing) / width) for step, width in zip(steps, spacing, strict=True)]
    chances = _sigmoid(odds)
    for _ in range(ROUNDS):
        opinion, pull = 2 * chances - 1, np.zeros_like(odds)
        for axis, tie in enumerate(ties):
            low, high = ([slice(None)] * 3 for _ in range(2))
            low[axis], high[axis] = slice(0, -1), slice(1, None)
            pull[tuple(low)] += tie * opinion[tuple(high)]
            pull[tuple(high)] += tie * opinion[tuple(low)]
        chances = _sigmoid(odds + STRENGTH * pull)
    return chances


def _sigmoid(odds: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float32)
