"""The random walker's linear systems (Grady, PAMI 2006), on voxels that need not be cubes.

The walker's ease between neighbours is exp(-beta dI**2) / step**2, the diffusion equation on an anisotropic grid: a thick slice is farther away, and
an edge across it holds as well as one in the plane. (scikit-image divides the edge by the step instead, so that at 6.5 mm classes run through.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg

from napari_medseg.volume import FloatArray, LabelArray, Spacing

LEAST_EASE = 1e-6
TOLERANCE = 1e-3
MOST_STEPS = 400


def likeliest(contrast: FloatArray, marks: LabelArray, spacing: Spacing, beta: float, guess: npt.NDArray[np.uint8] | None = None) -> LabelArray:
    """The class each voxel's walker most likely meets first.

    Parameters
    ----------
    contrast : float32 (z, y, x)
        The scan, classes about 1 apart.
    marks : uint8 (z, y, x)
        0 where to walk, anything else is a class; at least two of them.
    spacing : mm per voxel (z, y, x)
    beta : float
        How much an edge holds the walker back.
    guess : uint8 (z, y, x), optional
        Classes to start the solver from.

    Returns
    -------
    uint8 (z, y, x)
    """
    present = [int(v) for v in np.unique(marks) if v]
    free = marks.ravel() == 0
    out = marks.copy().ravel()
    if not free.any():
        return out.reshape(marks.shape)
    laplacian = _laplacian(contrast, spacing, beta)
    rows = laplacian[free]
    system, towards = rows[:, free].tocsr(), rows[:, ~free]
    scale = 1.0 / system.diagonal()
    jacobi = LinearOperator(system.shape, matvec=lambda v: scale * v.ravel(), dtype=np.float64)
    fixed = marks.ravel()[~free]
    start = None if guess is None else guess.ravel()[free]
    best, winner = np.full(int(free.sum()), -np.inf), np.zeros(int(free.sum()), np.uint8)
    rest = np.ones(best.size)
    for value in present:
        if value == present[-1]:
            chance = rest  # the probabilities add up to one
        else:
            known = -(towards @ (fixed == value).astype(np.float64))
            first = None if start is None else (start == value).astype(np.float64)
            chance, _ = cg(system, known, x0=first, rtol=TOLERANCE, maxiter=MOST_STEPS, M=jacobi)
            rest = rest - chance
        nearer = chance > best
        best[nearer], winner[nearer] = chance[nearer], value
    out[free] = winner
    return out.reshape(marks.shape)


def _laplacian(contrast: FloatArray, spacing: Spacing, beta: float) -> sparse.csr_array:
    index = np.arange(contrast.size).reshape(contrast.shape)
    ends: list[npt.NDArray[np.intp]] = []
    others: list[npt.NDArray[np.intp]] = []
    eases: list[npt.NDArray[np.float64]] = []
    for axis, step in enumerate(spacing):
        change = np.diff(contrast.astype(np.float64), axis=axis)
        ends.append(np.delete(index, -1, axis).ravel())
        others.append(np.delete(index, 0, axis).ravel())
        eases.append(((np.exp(-beta * change**2) + LEAST_EASE) * (min(spacing) / step) ** 2).ravel())
    a, b, ease = np.concatenate(ends), np.concatenate(others), np.concatenate(eases)
    size = contrast.size
    upper = sparse.coo_array((ease, (a, b)), shape=(size, size)).tocsr()
    both = upper + upper.T
    return sparse.csr_array(sparse.diags_array(np.asarray(both.sum(axis=1)).ravel()) - both)
