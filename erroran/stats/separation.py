"""Which quantities tell two groups of images apart, found on one half of the images and checked on the other?"""

from dataclasses import dataclass

import numpy as np

from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.multiplicity import benjamini_hochberg

FEWEST_IN_GROUP, FEWEST_OTHERS = 5, 20
"""Images with a value that each half needs, in the group and outside it."""
FDR = 0.05
SMALL = 0.06
"""Distance of a superiority from 0.5 that Vargha and Delaney (2000) call small (0.56); below, it is negligible."""
CHECK_LEVEL = 0.05
FEWEST_MISREAD = 10
_VETO_Z = 1.959963984540054  # 5 %, two-sided


@dataclass(frozen=True)
class Separation:
    """How one quantity tells a group from the others.

    Attributes:
        n_group: Members of the group that have a value; `n_others` likewise.
        superiority: Chance that a member has the larger value, ties counting half: the area under the ROC curve, and
            (1 + Cliff's delta) / 2. None without values on either side.
        low: Lower end of its 95 % interval; `high` the upper one; None with fewer than 2 values on a side.
    """

    n_group: int
    n_others: int
    superiority: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Support:
    """What the two halves say about M quantities.

    Attributes:
        p_find: float (M,): Mann-Whitney p-value in the half that finds, two-sided; NaN where it cannot be tested.
        q_find: float (M,): adjusted over the quantities that can be tested (Benjamini-Hochberg).
        p_check: float (M,): one-sided p-value in the other half, in the direction of the first.
        testable: bool (M,): enough values in both halves, and not all equal.
        found: bool (M,): q <= 0.05 and not negligible.
        held: bool (M,): found, p_check <= 0.05 and not negligible in the other half.
        contradicted: bool (M,): held, but the misread images themselves lie on the other side.
    """

    p_find: FloatArray
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


def separate(values: FloatArray, group: BoolArray) -> Separation:
    """Compare a group with the others in one quantity.

    Args:
        values: float (n,); NaN is left out.
        group: bool (n,).

    Source: the interval is Wald's with Brunner and Munzel's (2000) variance, which is also DeLong's for the area under
    a ROC curve, through ``statsmodels.stats.nonparametric.rank_compare_2indep``; where no value of the one side lies
    among those of the other that variance is zero, and Wilson's interval for the smaller side stands in.
    """
    from statsmodels.stats.nonparametric import rank_compare_2indep

    from erroran.stats.intervals import wilson_interval

    there = ~np.isnan(values)
    members, others = values[there & group], values[there & ~group]
    sizes = len(members), len(others)
    if min(sizes) < 2:
        larger = (members[:, None] > others) + 0.5 * (members[:, None] == others)
        return Separation(*sizes, float(larger.mean()) if min(sizes) else None, None, None)
    with np.errstate(all="ignore"):
        compared = rank_compare_2indep(members, others)
        low, high = compared.conf_int(alpha=0.05)
    share = float(compared.prob1)
    if not compared.var > 0:
        low, high = wilson_interval(share * min(sizes), min(sizes))
    return Separation(*sizes, share, max(0.0, float(low)), min(1.0, float(high)))


def find_and_check(
    values: FloatArray, near: BoolArray, finding: BoolArray, misread: BoolArray, *, fdr: float = FDR
) -> Support:
    """Find quantities that tell images near a border from the others, and check them on other images.

    Args:
        values: float (n, M); NaN where an image has no value.
        near: bool (n,): near the border.
        finding: bool (n,): in the half that finds; the others check.
        misread: bool (n,): really across the border. With at least 10, a quantity is dropped whose misread images lie
            on the other side of the rest at 5 %.
        fdr: Level of the finding.

    Source: Mann-Whitney with tie correction, as ``scipy.stats.mannwhitneyu(method="asymptotic",
    use_continuity=False)``; "negligible" is Vargha and Delaney (2000), J Educ Behav Stat 25, 101-132.
    """
    return _Ranked.of(values, finding).judge(near, misread, fdr)


def count_false_support(
    values: FloatArray,
    near: BoolArray,
    finding: BoolArray,
    misread: BoolArray,
    *,
    times: int,
    rng: np.random.Generator,
) -> int:
    """How often `find_and_check` supports anything if nearness is dealt to the images at random.

    Args:
        values: float (n, M), as in `find_and_check`.
        near: bool (n,).
        finding: bool (n,).
        misread: bool (n,); dealt together with `near`.
        times: Permutations.
        rng: Where they come from.
    """
    ranked, supported = _Ranked.of(values, finding), 0
    for _ in range(times):
        dealt = rng.permutation(len(near))
        supported += bool(ranked.judge(near[dealt], misread[dealt], FDR).supported.any())
    return supported


def partial_rank_correlation(x: FloatArray, y: FloatArray, given: FloatArray) -> float | None:
    """Spearman's correlation of two quantities with a third one held fixed.

    Args:
        x: float (n,); images with NaN in any of the three are left out.
        y: float (n,).
        given: float (n,).

    Returns:
        In [-1, 1]; None with fewer than 10 images, or without variation, or if `given` decides one of the two.
    """
    from scipy.stats import rankdata

    there = np.isfinite(x) & np.isfinite(y) & np.isfinite(given)
    columns = np.stack([x[there], y[there], given[there]])
    if there.sum() < 10 or (np.ptp(columns, axis=1) == 0).any():
        return None
    matrix = np.corrcoef(rankdata(columns, axis=1))
    rest = (1 - matrix[0, 2] ** 2) * (1 - matrix[1, 2] ** 2)
    if rest < 1e-9:
        return None
    return float((matrix[0, 1] - matrix[0, 2] * matrix[1, 2]) / rest**0.5)


@dataclass(frozen=True)
class _Ranks:
    """Ranks of M columns over some images, so that many groups can be compared quickly.

    Attributes:
        rows: int (k,): the images.
        there: float (k, M): 1 where an image has a value.
        ranks: float (k, M): among those there are, 1 to n; 0 elsewhere.
        ties: float (M,): sum of t^3 - t over ties.
    """

    rows: IntArray
    there: FloatArray
    ranks: FloatArray
    ties: FloatArray

    @classmethod
    def of(cls, values: FloatArray, rows: IntArray) -> "_Ranks":
        from scipy.stats import rankdata

        part = values[rows]
        there = ~np.isnan(part)
        ranks, ties = np.zeros(part.shape), np.zeros(part.shape[1])
        for column in range(part.shape[1]):
            present = part[there[:, column], column]
            ranks[there[:, column], column] = rankdata(present)
            counts = np.unique(present, return_counts=True)[1].astype(float)
            ties[column] = (counts**3 - counts).sum()
        return cls(rows, there.astype(float), ranks, ties)

    def compare(self, group: BoolArray) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Superiority, z, and whether both sides are large enough; (M,) each."""
        chosen = group[self.rows].astype(float)
        n, n_group = self.there.sum(axis=0), chosen @ self.there
        n_others = n - n_group
        with np.errstate(all="ignore"):
            share = (chosen @ self.ranks / n_group - (n_group + 1) / 2) / n_others
            variance = (n + 1 - self.ties / (n * (n - 1))) / (12 * n_group * n_others)
            z = (share - 0.5) / np.sqrt(np.where(variance > 1e-15, variance, np.nan))
        enough = (n_group >= FEWEST_IN_GROUP) & (n_others >= FEWEST_OTHERS) & np.isfinite(z)
        return share, z, enough


@dataclass(frozen=True)
class _Ranked:
    find: _Ranks
    check: _Ranks
    whole: _Ranks

    @classmethod
    def of(cls, values: FloatArray, finding: BoolArray) -> "_Ranked":
        everything = np.arange(len(values))
        return cls(*(_Ranks.of(values, rows) for rows in (everything[finding], everything[~finding], everything)))

    def judge(self, near: BoolArray, misread: BoolArray, fdr: float) -> Support:
        from scipy.stats import norm

        share, z, enough = self.find.compare(near)
        checked_share, checked_z, enough_to_check = self.check.compare(near)
        testable = enough & enough_to_check
        p_find = np.where(testable, 2 * norm.sf(abs(z)), np.nan)
        q_find = np.full(len(p_find), np.nan)
        q_find[testable] = benjamini_hochberg(p_find[testable])
        sign = np.sign(z)
        p_check = np.where(testable, norm.sf(sign * checked_z), np.nan)
        with np.errstate(invalid="ignore"):
            found = testable & (q_find <= fdr) & (abs(share - 0.5) >= SMALL)
            held = found & (p_check <= CHECK_LEVEL) & (sign * (checked_share - 0.5) >= SMALL)
            contradicted = np.zeros(len(held), dtype=bool)
            if misread.sum() >= FEWEST_MISREAD:
                contradicted = held & (sign * self.whole.compare(misread)[1] < -_VETO_Z)
        return Support(p_find, q_find, p_check, testable, found, held, contradicted)
