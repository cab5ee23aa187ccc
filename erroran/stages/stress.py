"""Does a fix still hold where strokes are thinner, thicker, swollen or broken? Asked of the stored models.

`confirm` is changed in the four ways of Morpho-MNIST, with the paper's doses; every run of every arm reads the same
changed images, and each version is judged as the report judges `confirm` itself. Nothing was predicted about these
versions beforehand, so all of it is exploratory: a change counts as found if it holds under the false discovery rate
over all tests that are made.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from erroran.operations import perturbations
from erroran.operations.keyed import keyed_uniform, sample_keys
from erroran.operations.morphology import Ink, ink_is_bright
from erroran.stats.multiplicity import benjamini_hochberg
from erroran.store import Intervention, Store
from erroran.store.evidence import Evidence, gather
from erroran.store.ledger import Entry, Ledger
from erroran.store.records import Group
from erroran.training.predict import predict_with
from erroran.verdict.compare import Comparison
from erroran.verdict.decide import CANNOT_TELL, HARMED, IMPROVED, Verdict, judge

FDR = 0.05
AS_IT_IS, REDRAWN = "as it is", "redrawn"
_SHOWN_PER_CLASS = 6
_PLACES_KEY = 0  # of every stress test alike: a version is a fixed set of images


@dataclass(frozen=True)
class Version:
    """`confirm` in one form, and what the runs read in it.

    Attributes:
        name: ``as it is``, ``redrawn``, ``thinned``, ``thickened``, ``swollen`` or ``fractured``.
        does: What was done to the images, in words.
        predicted: Arm to int64 (S, N): what its runs read.
        shown: uint8 (n, H, W, C), a few images of the pair's classes, the same in every version.
    """

    name: str
    does: str
    predicted: dict[str, np.ndarray]
    shown: np.ndarray


@dataclass(frozen=True)
class Contrast:
    """The treatment against another arm on one version: ``before`` is the other arm, ``after`` the treatment.

    Attributes:
        version: The version's name.
        against: ``baseline``, or a control.
        verdict: The verdict for this version alone, not adjusted for the others.
        compared: What was tested: ``forward``, ``reverse`` and ``overall`` (all errors), and ``sum`` where that is the
            primary endpoint.
        q_values: Key of `compared` to the q-value over all tests of the stress test; None where no test is valid.
    """

    version: str
    against: str
    verdict: Verdict
    compared: dict[str, Comparison]
    q_values: dict[str, float | None]

    @property
    def word(self) -> str:
        """The verdict's word, if the primary endpoint's change holds under the false discovery rate."""
        word = self.verdict.word
        if word in (IMPROVED, HARMED) and self.verdict.endpoint not in self.found:
            return CANNOT_TELL
        return word

    @property
    def found(self) -> dict[str, int]:
        """What holds under the false discovery rate: key to -1 (fewer errors with the treatment) or 1 (more)."""
        signs = {key: self.compared[key].test.direction(FDR) for key, q in self.q_values.items() if _holds(q)}
        return {key: sign for key, sign in signs.items() if sign}


@dataclass(frozen=True)
class Stressed:
    """A whole stress test.

    Attributes:
        group: The baseline group.
        intervention: What was run.
        evidence: Arm to its runs on `confirm` as it is; ``baseline`` first, then the treatment, then controls.
        versions: ``as it is``, ``redrawn``, then the four that are judged.
        contrasts: Version by version, the baseline first.
        tests: Number of tests that the q-values are over.
        stamps: What limits the claim.
        seconds: Wall-clock time of changing and predicting.
    """

    group: Group
    intervention: Intervention
    evidence: dict[str, Evidence]
    versions: list[Version]
    contrasts: list[Contrast]
    tests: int
    stamps: list[str]
    seconds: float

    @property
    def against_baseline(self) -> list[Contrast]:
        """The contrasts that the headline is about."""
        return [contrast for contrast in self.contrasts if contrast.against == "baseline"]

    def errors(self, version: Version, arm: str) -> dict[str, list[int]]:
        """Errors of each run of an arm: ``forward``, ``reverse`` and ``overall``."""
        evidence, read = self.evidence[arm], version.predicted[arm]
        a, b = (evidence.class_names.index(name) for name in self.intervention.hypothesis.pair.classes)
        wrong = {
            "forward": (evidence.labels == a) & (read == b),
            "reverse": (evidence.labels == b) & (read == a),
            "overall": evidence.labels != read,
        }
        return {key: errors.sum(axis=1).tolist() for key, errors in wrong.items()}

    def to_json(self) -> dict[str, object]:
        """The result as strict JSON-ready data."""
        return {
            "hypothesis": self.intervention.name,
            "spec_hash": self.intervention.hypothesis.hash,
            "pair": str(self.intervention.hypothesis.pair),
            "primary": self.intervention.hypothesis.primary,
            "group": self.group.id,
            "dataset": {"name": self.group.dataset_name, "digest": self.group.template.dataset},
            "seeds": list(self.intervention.seeds),
            "images": len(self.evidence["baseline"].labels),
            "tests": self.tests,
            "fdr": FDR,
            "stamps": self.stamps,
            "versions": [
                {
                    "name": version.name,
                    "does": version.does,
                    "errors": {arm: self.errors(version, arm) for arm in self.evidence},
                }
                for version in self.versions
            ],
            "contrasts": [
                {
                    "version": contrast.version,
                    "against": contrast.against,
                    "word": contrast.word,
                    "unadjusted_word": contrast.verdict.word,
                    "found": contrast.found,
                    **{
                        key: _comparison_json(compared, contrast.q_values[key])
                        for key, compared in contrast.compared.items()
                    },
                }
                for contrast in self.contrasts
            ],
            "runs": {arm: [run.id for run in evidence.runs] for arm, evidence in self.evidence.items()},
            "seconds": round(self.seconds, 1),
        }


def stress(
    store: Store,
    group: Group,
    name: str,
    *,
    controls: bool = False,
    on_step: Callable[[str, int, int], None] = lambda *_: None,
) -> Stressed:
    """Let the stored runs of an intervention read changed versions of `confirm`, and judge each. Trains nothing.

    The look at `confirm` is entered in the ledger.

    Args:
        store: Holds the intervention's runs and their models.
        group: The baseline group.
        name: The hypothesis' name.
        controls: Also compare with the controls that were trained.
        on_step: Called before each piece of work with what it is, pieces done, and pieces in all.

    Raises:
        NotFound: The intervention was never run, or one of its runs is gone.
        ErroranError: A stored model cannot be read.
    """
    intervention = store.get_intervention(group.id, name)
    arms = [arm for arm in intervention.arms if controls or arm in ("baseline", name)]
    look = Entry(
        kind="stress",
        dataset=group.template.dataset,
        group=group.id,
        name=name,
        pair=str(intervention.hypothesis.pair),
        spec_hash=intervention.hypothesis.hash,
        seeds=intervention.seeds,
        epochs=intervention.epochs,
        recipe=group.template.recipe.name,
    )
    evidence = {arm: gather(store, intervention.arms[arm], "confirm", look=look) for arm in arms}
    start = time.perf_counter()
    versions = _make_versions(store, evidence, intervention.hypothesis.pair.classes, on_step)
    seconds = time.perf_counter() - start
    contrasts = _compare(versions, evidence, intervention)
    stamps = _stamps(store.ledger, group, intervention)
    return Stressed(
        group=group,
        intervention=intervention,
        evidence=evidence,
        versions=versions,
        contrasts=contrasts,
        tests=sum(q is not None for contrast in contrasts for q in contrast.q_values.values()),
        stamps=stamps,
        seconds=seconds,
    )


def perturb(
    images: np.ndarray, ids: np.ndarray, *, ink: Ink = "bright"
) -> list[tuple[str, str, Callable[[], np.ndarray]]]:
    """The changed versions of images: name, what is done, and a function that does it.

    Args:
        images: uint8 (N, H, W, C).
        ids: str (N,); where an image swells or breaks is a function of its id alone.
        ink: As in `erroran.operations.perturbations`.

    Returns:
        ``redrawn`` first: what every version has in common, and nothing else.
    """
    keys = sample_keys(ids)
    draws = [
        keyed_uniform(_PLACES_KEY, 0, keys, purpose=f"stress place {i}") for i in range(perturbations.MOST_FRACTURES)
    ]
    places = np.stack(draws, axis=1)
    p = perturbations
    return [
        (REDRAWN, "ink or no ink on a four times finer grid and back, as in all that follow",
         lambda: p.redraw_strokes(images, ink=ink)),
        ("thinned", f"eroded by {p.THIN_AMOUNT:g} of half the image's own stroke",
         lambda: p.thin_strokes(images, ink=ink)),
        ("thickened", f"dilated by {p.THICKEN_AMOUNT:g} of half the stroke",
         lambda: p.thicken_strokes(images, ink=ink)),
        ("swollen", f"magnified around one point of a stroke, power {p.SWELL_STRENGTH:g}",
         lambda: p.swell(images, places=places, ink=ink)),
        ("fractured", f"{p.FRACTURES} cuts across strokes, 1.5 px wide",
         lambda: p.fracture(images, places=places, ink=ink)),
    ]  # fmt: skip


def _make_versions(
    store: Store,
    evidence: dict[str, Evidence],
    pair: tuple[str, str],
    on_step: Callable[[str, int, int], None],
) -> list[Version]:
    some = evidence["baseline"]
    dataset = store.get_dataset(some.runs[0].spec.dataset)
    ink: Ink = "bright" if ink_is_bright(dataset.x_train) else "dark"
    recipes = perturb(some.images, some.ids, ink=ink)
    runs = [(arm, run) for arm, found in evidence.items() for run in found.runs]
    in_all = len(recipes) + len(runs)
    changed = []
    for done, (name, _, make) in enumerate(recipes):
        on_step(f"{name} images", done, in_all)
        changed.append(make())
    flat = np.concatenate(changed)
    read: dict[str, list[np.ndarray]] = {arm: [] for arm in evidence}
    for done, (arm, run) in enumerate(runs, start=len(recipes)):
        on_step(f"{arm}, seed {run.spec.seed}", done, in_all)
        model_file, source = store.run_folder(run.id) / "model.keras", store.load_source_of(run)
        probabilities = predict_with(model_file, flat, source=source)
        read[arm].append(probabilities.argmax(axis=1).reshape(len(changed), -1))
    on_step("judging", in_all, in_all)
    rows = _rows_to_show(some, pair)
    untouched = {arm: found.predicted for arm, found in evidence.items()}
    versions = [Version(AS_IT_IS, "the images of `confirm`", untouched, some.images[rows])]
    for i, (name, does, _) in enumerate(recipes):
        predicted = {arm: np.stack([run[i] for run in of_arm]) for arm, of_arm in read.items()}
        versions.append(Version(name, does, predicted, changed[i][rows]))
    return versions


def _rows_to_show(evidence: Evidence, pair: tuple[str, str]) -> np.ndarray:
    by_id = np.argsort(evidence.ids)
    labels = evidence.labels[by_id]
    some = [by_id[labels == evidence.class_names.index(name)][:_SHOWN_PER_CLASS] for name in pair]
    return np.concatenate(some)


def _compare(versions: Sequence[Version], evidence: dict[str, Evidence], intervention: Intervention) -> list[Contrast]:
    bare = [
        _contrast(version, arm, evidence[arm], intervention)
        for version in versions
        if version.name not in (AS_IT_IS, REDRAWN)
        for arm in evidence
        if arm != intervention.name
    ]
    p_values = [compared.test.p_value for contrast in bare for compared in contrast.compared.values()]
    adjusted = iter(benjamini_hochberg([p for p in p_values if p is not None]).tolist())
    q_values = iter([None if p is None else next(adjusted) for p in p_values])
    return [
        Contrast(**{**vars(contrast), "q_values": {key: next(q_values) for key in contrast.compared}})
        for contrast in bare
    ]


def _contrast(version: Version, arm: str, evidence: Evidence, intervention: Intervention) -> Contrast:
    hypothesis, names, labels = intervention.hypothesis, evidence.class_names, evidence.labels
    before, after = version.predicted[arm], version.predicted[intervention.name]
    pair = (names.index(hypothesis.pair.classes[0]), names.index(hypothesis.pair.classes[1]))
    verdict = judge(
        labels,
        before,
        after,
        pair=pair,
        n_classes=len(names),
        endpoint=hypothesis.primary,
        margin_per_10000=hypothesis.margin_per_10000,
        equivalence_per_10000=hypothesis.equivalence_per_10000,
        class_names=names,
    )
    compared = {
        "forward": verdict.forward,
        "reverse": verdict.reverse,
        **({"sum": verdict.both} if verdict.endpoint == "sum" else {}),
        "overall": verdict.overall,
    }
    return Contrast(version.name, arm, verdict, compared, q_values={})


def _stamps(ledger: Ledger, group: Group, intervention: Intervention) -> list[str]:
    entries = [entry for entry in ledger.entries() if entry.dataset == group.template.dataset]
    stamps = []
    if group.note:
        stamps.append(f"**Data:** {group.note}.")
    if any(entry.kind == "mined-on-confirm" for entry in entries):
        stamps.append("**Mined on `confirm`:** the pair may have been chosen on these very images.")
    if not intervention.fresh_baseline:
        stamps.append("**Reused baseline:** the runs before are those that the confusions were mined from.")
    judged = sorted({f"`{e.name}`" for e in entries if e.kind == "verdict"})
    if judged:
        stamps.append(
            f"**Not the only look:** these images, unchanged, were read for the verdicts on {', '.join(judged)}."
        )
    return stamps


def _holds(q_value: float | None) -> bool:
    return q_value is not None and q_value <= FDR


def _comparison_json(compared: Comparison, q_value: float | None) -> dict[str, object]:
    return {
        "name": compared.name,
        "before_per_seed": list(compared.before_per_seed),
        "after_per_seed": list(compared.after_per_seed),
        "per_10000": compared.effect.per_10000,
        "interval": [compared.effect.low, compared.effect.high],
        "p_value": compared.test.p_value,
        "q_value": q_value,
        "test": compared.test.method,
    }
