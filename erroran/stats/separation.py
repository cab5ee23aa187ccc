"""Which measurements differ between two groups of images? Found on one half of the images, checked on the other."""

from dataclasses import dataclass

import numpy as np

from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.multiplicity import benjamini_hochberg

# Least number of images with a value in each half, in the group and outside it, for the normal approximation.
FEWEST_IN_GROUP, FEWEST_OTHERS = 5, 20
FDR = 0.05
# A smaller distance of the area under the ROC curve from 0.5 is negligible. Source: 0.56 in Vargha and Delaney (2000),
# J Educ Behav Stat 25, 101-132.
SMALL = 0.06
CHECK_LEVEL = 0.05
FEWEST_MISREAD = 2 * FEWEST_IN_GROUP  # least number of misread images that can contradict a quantity


@dataclass(frozen=True)
class Support:
    """Results of the two halves for M quantities.

    Attributes:
        q_find: float (M,): two-sided Mann-Whitney p-values in the half that finds, adjusted over the testable
            quantities (Benjamini-Hochberg); NaN for the others.
        p_check: float (M,): one-sided p-value in the other half, in the direction of the first.
        testable: bool (M,): enough values in both halves, and not all equal.
        found: bool (M,): q <= 0.05 and not negligible.
        held: bool (M,): found, p_check <= 0.05 and not negligible in the other half.
        contradicted: bool (M,): held, but the misread images themselves lie on the other side.
    """

    q_find: FloatArray
    p_check: FloatArray
    testable: BoolArray
    found: BoolArray
    held: BoolArray
    contradicted: BoolArray

    @property
    def supported(self) -> BoolArray:
        """Held and not contradicted; bool (M,)."""
        return self.held & ~self.contradicted


def find_and_check(values: FloatArray, near: BoolArray, finding: BoolArray, misread: BoolArray) -> Support:
    """Find quantities that differ between images near a class border and the others, and check them on other images.

    Args:
        values: float (n, M); NaN where an image has no value.
        near: bool (n,): near the border.
        finding: bool (n,): in the half that finds; the others check.
        misread: bool (n,): wrong predictions. With at least 10 of them, a quantity is dropped if they lie on the other
            side of the rest (two-sided test at 5 %).

    Source: Mann-Whitney with tie correction, as ``scipy.stats.mannwhitneyu(method="asymptotic",
    use_continuity=False)``, which has no form for many columns with gaps and many groups at once.
    """
    return _judge(_rank_parts(values, finding), near, misread)


def count_false_support(
    values: FloatArray,
    near: BoolArray,
    finding: BoolArray,
    misread: BoolArray,
    *,
    times: int,
    rng: np.random.Generator,
) -> int:
    """In how many of `times` permutations of `near` and `misread` `find_and_check` supports anything."""
    parts, supported = _rank_parts(values, finding), 0
    for _ in range(times):
        order = rng.permutation(len(near))
        supported += bool(_judge(parts, near[order], misread[order]).supported.any())
    return supported


@dataclass(frozen=True)
class _Ranks:
    """Ranks of M columns over k images, computed once for many groups.

    Attributes:
        rows: int (k,): the images.
        there: float (k, M): 1 where an image has a value.
        ranks: float (k, M): among the values there are, 1 to n; 0 elsewhere.
        ties: float (M,): `scipy.stats.tiecorrect` of each column.
    """

    rows: IntArray
    there: FloatArray
    ranks: FloatArray
    ties: FloatArray

    def compare(self, group: BoolArray) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Area under the ROC curve, z, and whether both sides are large enough; (M,) each."""
        chosen = group[self.rows].astype(float)
        n, n_group = self.there.sum(axis=0), chosen @ self.there
        n_others = n - n_group
        with np.errstate(all="ignore"):
            auc = (chosen @ self.ranks / n_group - (n_group + 1) / 2) / n_others
            variance = (n + 1) * self.ties / (12 * n_group * n_others)
            z = (auc - 0.5) / np.sqrt(np.where(variance > 1e-15, variance, np.nan))
        enough = (n_group >= FEWEST_IN_GROUP) & (n_others >= FEWEST_OTHERS) & np.isfinite(z)
        return auc, z, enough


def _rank_parts(values: FloatArray, finding: BoolArray) -> tuple[_Ranks, _Ranks, _Ranks]:
    """Ranks among the images that find, among those that check, and among all."""
    from scipy.stats import rankdata, tiecorrect

    def rank(rows: IntArray) -> _Ranks:
        ranks = rankdata(values[rows], axis=0, nan_policy="omit")
        there = np.isfinite(ranks)
        ties = np.array([tiecorrect(column[known]) for column, known in zip(ranks.T, there.T, strict=True)])
        return _Ranks(rows, there.astype(float), np.where(there, ranks, 0.0), ties)

    return rank(np.flatnonzero(finding)), rank(np.flatnonzero(~finding)), rank(np.arange(len(values)))


def _judge(parts: tuple[_Ranks, _Ranks, _Ranks], near: BoolArray, misread: BoolArray) -> Support:
    from scipy.stats import norm

    find, check, whole = parts
    auc, z, enough = find.compare(near)
    checked_auc, checked_z, enough_to_check = check.compare(near)
    testable = enough & enough_to_check
    q_find = np.full(len(z), np.nan)
    q_find[testable] = benjamini_hochberg(2 * norm.sf(abs(z[testable])))
    sign = np.sign(z)
    p_check = np.where(testable, norm.sf(sign * checked_z), np.nan)
    with np.errstate(invalid="ignore"):
        found = testable & (q_find <= FDR) & (abs(auc - 0.5) >= SMALL)
        held = found & (p_check <= CHECK_LEVEL) & (sign * (checked_auc - 0.5) >= SMALL)
        contradicted = np.zeros(len(held), dtype=bool)
        if misread.sum() >= FEWEST_MISREAD:
            contradicted = held & (sign * whole.compare(misread)[1] < norm.ppf(0.025))
    return Support(q_find, p_check, testable, found, held, contradicted)
