"""Spoilt files of every kind: a typed error or a correct volume, never a crash, a hang or greed. See fuzz.py, which runs alone too."""

import pytest
from fuzz import Opener, run
from originals import ORIGINALS

SHORT, LONG = 25, 2000


@pytest.fixture(scope="session")
def opener():
    made = Opener()
    yield made
    made.close()


@pytest.mark.timeout(1200)  # for the long run; the short one takes a second
@pytest.mark.parametrize("kind", ORIGINALS)
def test_a_spoilt_file_gives_a_typed_error_or_a_correct_volume(kind, opener, request):
    result = run(kind, LONG if request.config.getoption("--faults-long") else SHORT, opener)
    assert not result.faults, f"{result}\n{result.distinct()}"
