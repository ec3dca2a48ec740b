"""The figures of a blinded review: against published numbers, and what must hold for any answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.review.blinded.statistics import against_half, by_case, cohen, fleiss, share

CHOICES = st.sampled_from(["a", "tie", "b"])
TWO = ("Ann", "Bob")
THREE = ("Ann", "Bob", "Cid")


def of_table(table):
    """Two raters' answers whose counts are a table."""
    pairs = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return [i for i, _ in pairs], [j for _, j in pairs]


def test_the_papers_counts_give_the_papers_shares():
    assert (round(100 * share(275, 292).share, 1), round(100 * share(275, 324).share, 1)) == (94.2, 84.9)
    assert round(100 * share(280, 324).share, 1) == 86.4


def test_exact_intervals_are_those_of_the_tables():
    """Clopper and Pearson's for 81 of 263, as Newcombe prints it (Statistics in Medicine 17, 1998, table I); and for nothing of ten."""
    found = share(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2527, 0.3676)
    assert share(0, 10).low == 0.0
    assert share(0, 10).high == pytest.approx(1 - 0.025 ** 0.1)
    assert share(10, 10).high == 1.0


def test_nothing_counted_has_no_share_and_no_test():
    assert (share(0, 0).share, share(0, 0).low, against_half(0, 0)) == (None, None, None)


def test_the_test_against_one_half_is_the_sign_test():
    assert against_half(8, 10) == pytest.approx(2 * (45 + 10 + 1) / 1024)
    assert against_half(5, 10) == pytest.approx(1.0)


def test_cohens_kappa_and_its_error_are_those_of_the_paper_it_is_from():
    """The example of Fleiss, Cohen and Everitt (1969): 200 patients, kappa 0.429, variance 0.002885."""
    found = cohen(*of_table([[106, 10, 4], [22, 28, 10], [2, 12, 6]]), TWO)
    assert found.kappa == pytest.approx(0.429, abs=5e-4)
    assert found.se**2 == pytest.approx(0.002885, abs=5e-6)
    assert found.low < found.kappa < found.high


def test_fleiss_kappa_is_that_of_the_known_example():
    """Ten subjects, fourteen raters, five categories (Fleiss' kappa, a textbook example): 0.210."""
    counts = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1], [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2],
              [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
    found = fleiss([[i for i, n in enumerate(row) for _ in range(n)] for row in counts], tuple("abcdefghijklmn"))
    assert found.kappa == pytest.approx(0.210, abs=5e-4)
    assert found.low < 0.21 < found.high


def test_one_answer_throughout_has_no_kappa():
    assert cohen(["a"] * 5, ["a"] * 5, TWO).kappa is None
    assert fleiss([["a"] * 3] * 5, THREE).kappa is None
    assert cohen([], [], TWO).kappa is None
    assert fleiss([], THREE).kappa is None


def test_full_agreement_is_one_and_claims_no_interval_of_width_nothing():
    found = cohen(["a", "b", "a"], ["a", "b", "a"], TWO)
    assert (found.kappa, found.low, found.high) == (1.0, None, None)
    assert found.same.low == pytest.approx(0.025 ** (1 / 3))


@given(st.integers(0, 400), st.integers(0, 400))
def test_an_interval_holds_its_share(count, more):
    found = share(count, count + more)
    if count + more:
        assert 0 <= found.low <= found.share <= found.high <= 1


@given(st.lists(st.tuples(CHOICES, CHOICES), max_size=60))
def test_cohens_kappa_stays_in_its_range_and_knows_no_first_rater(pairs):
    first, second = [x for x, _ in pairs], [y for _, y in pairs]
    found, turned = cohen(first, second, TWO), cohen(second, first, TWO)
    assert (found.kappa, found.low, found.high) == pytest.approx((turned.kappa, turned.low, turned.high))
    if found.kappa is not None:
        assert -1 <= found.kappa <= 1
    if found.low is not None:
        assert -1 <= found.low <= found.kappa <= found.high <= 1


@given(st.lists(st.permutations(range(3)).flatmap(lambda order: st.tuples(st.just(order), st.tuples(CHOICES, CHOICES, CHOICES))), max_size=30))
def test_fleiss_kappa_stays_in_its_range_and_does_not_ask_who_gave_which_answer(rows):
    found = fleiss([answers for _, answers in rows], THREE)
    turned = fleiss([[answers[i] for i in order] for order, answers in rows], THREE)
    assert found.kappa == pytest.approx(turned.kappa)
    if found.kappa is not None:
        assert -1 <= found.kappa <= 1
    if found.low is not None:
        assert -1 <= found.low <= found.kappa <= found.high <= 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.integers(0, 5))
def test_the_interval_over_cases_is_a_pair_of_shares_or_none(counts, seed):
    found = by_case([a for a, _ in counts], [b for _, b in counts], seed)
    if found is not None:
        assert len(counts) >= 5
        assert 0 <= found[0] <= found[1] <= 1


def test_the_interval_over_cases_is_wider_where_cases_differ():
    alike, apart = by_case([8] * 10, [2] * 10, 0), by_case([10] * 8 + [0] * 2, [0] * 8 + [10] * 2, 0)
    assert alike[1] - alike[0] < 0.01 < apart[1] - apart[0]
