import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from napari_medseg.weaklabel.runs import pieces

SLICE = np.zeros((3, 3, 3), bool)
SLICE[1] = ndi.generate_binary_structure(2, 1)
NEIGHBOURS = {"corners": np.ones((3, 3, 3)), "faces": ndi.generate_binary_structure(3, 1), "slice": SLICE}


@pytest.mark.parametrize("joins", NEIGHBOURS)
@given(shape=st.tuples(*[st.integers(1, 8)] * 3), share=st.floats(0, 1), seed=st.integers(0, 9999))
def test_pieces_are_those_scipy_finds_in_the_same_order(joins, shape, share, seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < share
    found = pieces(mask, joins)
    labelled, count = ndi.label(mask, NEIGHBOURS[joins])
    assert found.count == count
    np.testing.assert_array_equal(found.sizes(), np.bincount(labelled.ravel(), minlength=count + 1)[1:])
    chosen = rng.random(count) < 0.5
    np.testing.assert_array_equal(found.mask(chosen), np.concatenate([[False], chosen])[labelled])
    for z, y, x in np.argwhere(mask):
        assert found.at(z, y, x) == labelled[z, y, x] - 1
    for axis in range(3):
        ends = {int(v) for end in (0, -1) for v in np.unique(labelled.take(end, axis)) if v}
        assert set(np.flatnonzero(found.at_edges((axis,))) + 1) == ends
