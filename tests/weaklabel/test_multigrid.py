import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg

from napari_medseg.weaklabel import compiled, multigrid
from napari_medseg.weaklabel.multigrid import Multigrid, applied, lattice


def conductors(shape, spread, seed=0):
    """Conductances over several powers of ten, and a ground at the two ends."""
    rng = np.random.default_rng(seed)
    along = [np.exp(rng.normal(0, spread, shape)).astype(np.float32) for _ in range(3)]
    for axis, values in enumerate(along):
        values[(slice(None),) * axis + (-1,)] = 0
    ground = np.zeros(shape, np.float32)
    ground[0, 0], ground[-1, -1] = 1, 1
    return *along, ground


def assembled(z, y, x, ground):
    index = np.arange(ground.size).reshape(ground.shape)
    total = sparse.diags_array(ground.ravel().astype(float))
    for axis, values in enumerate((z, y, x)):
        ends, others = np.delete(index, -1, axis).ravel(), np.delete(index, 0, axis).ravel()
        ease = np.delete(values, -1, axis).ravel().astype(float)
        pairs = sparse.coo_array((ease, (ends, others)), shape=total.shape)
        total = total + sparse.diags_array(pairs.sum(0) + pairs.sum(1)) - pairs - pairs.T
    return sparse.csr_array(total)


def as_matrix(work, shape):
    columns = np.eye(np.prod(shape), dtype=np.float32).reshape(-1, *shape)
    return np.stack([work(column) for column in columns], 1)


@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 9, 8), (7, 1, 1), (2, 3, 1), (4, 5, 6)])
def test_the_lattice_is_the_assembled_matrix(shape):
    parts = conductors(shape, 1.0)
    grid = lattice(*parts, (1.0, 1.0, 1.0))
    values = np.random.default_rng(1).random(shape, np.float32)
    out, products = np.empty(shape, np.float32), np.empty(shape[0])
    expected = assembled(*parts) @ values.ravel()
    product = applied(grid, values, out, products)
    np.testing.assert_allclose(out.ravel(), expected, rtol=1e-4, atol=1e-5)
    assert product == pytest.approx(values.ravel() @ expected, rel=1e-4)


@pytest.mark.parametrize(("shape", "spacing"), [((5, 6, 7), (1.0, 1.0, 1.0)), ((4, 9, 9), (5.0, 1.0, 1.0)), ((1, 14, 13), (3.0, 1.0, 1.0))])
def test_a_coarser_level_is_the_finer_one_seen_through_its_blocks(shape, spacing):
    """Galerkin: the coarse matrix is P' A P with piecewise constant P."""
    parts = conductors(shape, 1.0)
    fine, coarse, *_ = Multigrid(lattice(*parts, spacing)).levels
    block = np.zeros(shape, int)
    for axis, (n, m) in enumerate(zip(shape, coarse.ground.shape, strict=True)):
        place = np.arange(n) // (2 if m < n else 1)
        block = block * m + place.reshape([-1 if a == axis else 1 for a in range(3)])
    blocks = sparse.csr_array((np.ones(block.size), (np.arange(block.size), block.ravel())))
    expected = (blocks.T @ assembled(fine.z, fine.y, fine.x, fine.ground) @ blocks).toarray()
    np.testing.assert_allclose(assembled(coarse.z, coarse.y, coarse.x, coarse.ground).toarray(), expected, rtol=1e-4, atol=1e-4)


def test_thick_slices_wait_until_pixels_are_as_large():
    shapes = [level.ground.shape for level in Multigrid(lattice(*conductors((12, 64, 64), 0.1), (4.0, 1.0, 1.0))).levels]
    assert shapes[:4] == [(12, 64, 64), (12, 32, 32), (12, 16, 16), (6, 8, 8)]


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_the_cycle_is_a_symmetric_positive_preconditioner(spread):
    shape = (4, 6, 5)
    parts = conductors(shape, spread)
    cycle = Multigrid(lattice(*parts, (1.0, 1.0, 1.0)))

    def once(right):
        out = np.empty(shape, np.float32)
        cycle.cycle(right, out)
        return out.ravel()

    matrix = as_matrix(once, shape)
    np.testing.assert_allclose(matrix, matrix.T, rtol=2e-3, atol=2e-4 * np.abs(matrix).max())
    assert np.linalg.eigvalsh((matrix + matrix.T).astype(float)).min() > 0


@pytest.mark.parametrize("spread", [0.3, 1.5])
def test_conjugate_gradients_need_far_fewer_steps_with_the_cycle_than_with_jacobi(spread):
    shape = (24, 40, 40)
    parts = conductors(shape, spread)
    grid = lattice(*parts, (1.0, 1.0, 1.0))
    multigrid_cycle, matrix, right = Multigrid(grid), assembled(*parts), np.random.default_rng(1).random(np.prod(shape))

    def once(values):
        out = np.empty(shape, np.float32)
        multigrid_cycle.cycle(values.reshape(shape).astype(np.float32), out)
        return out.ravel().astype(float)

    steps = []
    for work in (once, lambda values: grid.inverse.ravel() * values):
        residuals: list[int] = []
        preconditioner = LinearOperator(matrix.shape, matvec=work, dtype=float)
        _, failed = cg(matrix, right, rtol=1e-4, M=preconditioner, maxiter=1000, callback=lambda _, seen=residuals: seen.append(1))
        assert not failed
        steps.append(len(residuals))
    assert steps[0] * 4 < steps[1]
    assert steps[0] < 60


def test_voxels_without_neighbours_or_ground_stay_at_zero():
    z, y, x, ground = conductors((3, 4, 5), 1.0)
    for values in (z, y, x, ground):
        values[1] = 0
    z[0] = 0
    out = np.empty((3, 4, 5), np.float32)
    Multigrid(lattice(z, y, x, ground, (1.0, 1.0, 1.0))).cycle(np.zeros((3, 4, 5), np.float32), out)
    assert not out.any()


def test_the_number_of_cores_changes_nothing(monkeypatch):
    parts, right = conductors((20, 50, 60), 2.0), np.random.default_rng(0).random((20, 50, 60), np.float32)
    answers = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(compiled, "threads", lambda cores=cores: cores)
        monkeypatch.setattr(multigrid, "PER_PART", 1)
        out = np.empty_like(right)
        Multigrid(lattice(*parts, (1.0, 1.0, 1.0))).cycle(right, out)
        answers.append(out)
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])
