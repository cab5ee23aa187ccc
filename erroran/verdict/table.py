"""The decision table: which word a comparison of two arms gets.

The first row that applies gives the word. The table is printed in ``reports/README.md`` from `ROWS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

IMPROVED: Final = "improved"
HARMED: Final = "harmed"
TRADED: Final = "traded"
NOT_WORTHWHILE: Final = "not worthwhile"
EQUIVALENT: Final = "equivalent"
CANNOT_TELL: Final = "cannot tell"
WORDS: Final = (IMPROVED, HARMED, TRADED, NOT_WORTHWHILE, EQUIVALENT, CANNOT_TELL)

ALONE: Final = 0.2
"""Share of alpha for claims that rest on other errors than the endpoint's, over all of them together.

With alpha = 0.05 such claims add at most 1 point to the rate of false claims.
"""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What two arms show.

    A sign is -1 for significantly fewer errors after, 1 for more, 0 for neither. Tuples hold each sign once, sorted.

    Attributes:
        endpoint: The primary endpoint, at alpha.
        reverse: The pair's other direction, at alpha; 0 if the endpoint is the pair's sum.
        inside: The other errors of the class that errs, at alpha: errors may have moved inside it. 0 if the endpoint is
            the pair's sum.
        elsewhere: Signs that occur among the other errors of both classes of the pair, the errors of every other class
            and all errors (Bonferroni's correction at alpha), and among single cells under the false discovery rate.
        alone: Signs that occur among reverse direction, pair sum, errors of every class, and all errors (Bonferroni's
            correction at `ALONE` alpha); if all errors are among them, their sign alone.
        netted: Whether the errors of the true class and of the pair changed in the direction of the endpoint, as means
            over the runs.
        within: Whether both intervals of the endpoint's change lie inside the equivalence margin, and inside the
            worthwhile change in both directions.
        excluded: Whether both intervals of the endpoint's relative change exclude the worthwhile reduction.
    """

    endpoint: int = 0
    reverse: int = 0
    inside: int = 0
    elsewhere: tuple[int, ...] = ()
    alone: tuple[int, ...] = ()
    netted: bool = True
    within: bool = False
    excluded: bool = False

    @property
    def opposed(self) -> bool:
        """Whether something changed significantly against the endpoint."""
        return self.endpoint != 0 and -self.endpoint in (*self.elsewhere, self.reverse, self.inside)

    @property
    def quiet(self) -> bool:
        """Whether nothing outside the endpoint changed significantly."""
        return self.reverse == self.inside == 0 and not self.elsewhere


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: For the record of a verdict.
        condition: When it applies, in words.
        word: Its word.
        applies: The same condition on findings.
    """

    name: str
    condition: str
    word: str
    applies: Callable[[Findings], bool]


ROWS: Final = (
    Row(
        "both ways",
        "the endpoint changed significantly, and the reverse direction, other errors of the same class, another class, "
        "all errors or a single cell changed significantly in the other direction",
        TRADED,
        lambda found: found.opposed,
    ),
    Row(
        "moved",
        "the endpoint changed significantly, but the errors of the true class, or of the pair, did not change in the "
        "same direction: errors moved inside the class or the pair",
        CANNOT_TELL,
        lambda found: found.endpoint != 0 and not found.netted,
    ),
    Row("fewer", "the endpoint fell significantly", IMPROVED, lambda found: found.endpoint < 0),
    Row("more", "the endpoint rose significantly", HARMED, lambda found: found.endpoint > 0),
    Row(
        "elsewhere both ways",
        "the endpoint shows no change; of the reverse direction, the pair's sum and the classes, some fell and some "
        "rose at a fifth of alpha, and all errors did neither",
        TRADED,
        lambda found: found.alone == (-1, 1),
    ),
    Row(
        "more elsewhere",
        "the endpoint shows no change; all errors, or else the reverse direction, the pair's sum or a class, rose at a "
        "fifth of alpha",
        HARMED,
        lambda found: found.alone == (1,),
    ),
    Row("fewer elsewhere", "the same, but they fell", IMPROVED, lambda found: found.alone == (-1,)),
    Row(
        "within the margin",
        "both intervals of the endpoint lie inside the equivalence margin and exclude a worthwhile change in either "
        "direction, and nothing else changed significantly",
        EQUIVALENT,
        lambda found: found.within and found.quiet,
    ),
    Row(
        "too small",
        "both intervals of the endpoint exclude the worthwhile reduction",
        NOT_WORTHWHILE,
        lambda found: found.excluded,
    ),
    Row("open", "none of these", CANNOT_TELL, lambda _: True),
)
"""The rows in order; the last one always applies."""


def look_up(found: Findings) -> Row:
    """The first row that applies."""
    return next(row for row in ROWS if row.applies(found))
