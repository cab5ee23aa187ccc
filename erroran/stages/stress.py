"""Judge a treatment on changed versions of the images of its verdict, with the stored models.

The images are changed in the four ways of Morpho-MNIST, with the paper's doses. Every run of every arm predicts the
same changed images; out of fold, those that it has not trained on. As no hypothesis names these versions, everything is
exploratory: a change counts as found if it holds under the false discovery rate over all tests. The controls show which
part of the treatment causes it.
"""

import time
from collections.abc import Callable

import numpy as np
from pydantic import Field

from erroran.operations import perturbations
from erroran.operations.keyed import keyed_uniform, sample_keys
from erroran.operations.morphology import Ink, as_grey, ink_is_bright
from erroran.results import Result
from erroran.stages.intervene import describe_change
from erroran.store import Intervention, Store
from erroran.store.environment import compare_environments
from erroran.store.evidence import Judged, gather_judged
from erroran.store.records import Group
from erroran.store.stamps import Stamp, find_stamps, look_entry
from erroran.training.predict import predict_with
from erroran.verdict.contrasts import (
    Contrast,
    JudgedVersion,
    Likeness,
    VersionArms,
    contrast_arms,
    count_errors,
    find_likenesses,
    judge_version,
)
from erroran.verdict.decide import judge_hypothesis

AS_IT_IS, REDRAWN = "as it is", "redrawn"
_SHOWN_PER_CLASS = 6
_PLACES_KEY = 0  # the same in every stress test: a version is a fixed set of images


class Version(Result):
    """The judged images in one form, and what the runs predict.

    Attributes:
        name: ``as it is``, ``redrawn``, ``thinned``, ``thickened``, ``swollen`` or ``fractured``.
        does: What was done to the images, in words.
        errors: Arm to the errors of each seed, by kind; see `count_errors`.
        predicted: Arm to int64 (S, N), the predictions of each seed.
        shown: uint8 (n, H, W, C), a few images of the pair's classes, the same in every version.
    """

    name: str
    does: str
    errors: dict[str, dict[str, list[int]]]
    predicted: dict[str, np.ndarray] = Field(exclude=True)
    shown: np.ndarray = Field(exclude=True)


class Stressed(Result):
    """A whole stress test.

    Attributes:
        group: The baseline group.
        intervention: What was run.
        change: What its treatment changes, in words.
        evidence: Arm to the predictions of its runs for the images as they are.
        versions: ``as it is``, ``redrawn``, then the four that are judged.
        judged: The treatment against the baseline on each of the four.
        controls: On each of the four, each control against the baseline and the treatment against each control.
        likenesses: Which controls show the changes of `judged`.
        stamps: What limits the claim.
        environments: In what the arms' software or hardware differ: name to each arm's value.
        tests: Number of tests that the q-values of `judged` are over; `control_tests` those of `controls`.
        images: Number of judged images; `population` these images in words.
        seconds: Wall-clock time of changing and predicting.
    """

    group: Group
    intervention: Intervention
    change: list[str] = Field(exclude=True)
    evidence: dict[str, Judged] = Field(exclude=True)
    versions: list[Version]
    judged: list[JudgedVersion]
    controls: list[Contrast]
    likenesses: list[Likeness]
    stamps: list[Stamp]
    environments: dict[str, dict[str, str]]
    tests: int
    control_tests: int
    images: int
    population: str
    seconds: float

    @property
    def names_of_controls(self) -> list[str]:
        """The trained controls that took part."""
        return [arm for arm in self.evidence if arm not in ("baseline", self.intervention.name)]


def stress(
    store: Store,
    group: Group,
    name: str,
    *,
    controls: bool = True,
    on_step: Callable[[str, int, int], None] = lambda *_: None,
) -> Stressed:
    """Let the stored runs of an intervention predict changed versions of the judged images, and judge each version.

    Trains nothing; enters the look at the images in the ledger.

    Args:
        store: Holds the intervention's runs and their models.
        group: The baseline group.
        name: The hypothesis' name.
        controls: Whether the controls that were trained predict too; without them no cause can be named.
        on_step: Called before each piece of work with what it is, pieces done, and pieces in all.

    Raises:
        NotFound: The intervention was never run, or one of its runs is gone.
        BadInput: The images have several channels.
        ErroranError: A stored model cannot be read.
    """
    intervention = store.get_intervention(group.id, name)
    as_grey(store.get_dataset(group.template.dataset).x_test[:1], "a stress test")
    look = look_entry(group, intervention, "stress")
    arms = [arm for arm in intervention.arms if controls or arm in ("baseline", name)]
    evidence = {arm: gather_judged(store, intervention.arms[arm], intervention.judging, look=look) for arm in arms}
    start = time.perf_counter()
    versions = _make_versions(store, evidence, intervention, on_step)
    seconds = time.perf_counter() - start
    labels, names = evidence["baseline"].labels, evidence["baseline"].class_names
    changed = [VersionArms(v.name, v.predicted) for v in versions if v.name not in (AS_IT_IS, REDRAWN)]
    pair = intervention.hypothesis.pair.indices(names)
    treatment = contrast_arms(labels, changed, [("baseline", name)], pair, names)
    others = [arm for arm in evidence if arm not in ("baseline", name)]
    both_ways = [arms for control in others for arms in (("baseline", control), (control, name))]
    against_controls = contrast_arms(labels, changed, both_ways, pair, names)
    environments = compare_environments({arm: found.runs for arm, found in evidence.items()})
    return Stressed(
        group=group,
        intervention=intervention,
        change=describe_change(store, intervention),
        evidence=evidence,
        versions=versions,
        judged=[
            judge_version(
                contrast,
                judge_hypothesis(
                    intervention.hypothesis, labels, arms.predicted["baseline"], arms.predicted[name], names
                ),
            )
            for contrast, arms in zip(treatment, changed, strict=True)
        ],
        controls=against_controls,
        likenesses=find_likenesses(treatment, against_controls),
        stamps=find_stamps(store.ledger.entries(), look, group, intervention, environments),
        environments=environments,
        tests=_count_tests(treatment),
        control_tests=_count_tests(against_controls),
        images=len(labels),
        population=evidence["baseline"].population,
        seconds=seconds,
    )


def _count_tests(contrasts: list[Contrast]) -> int:
    return sum(q_value is not None for contrast in contrasts for q_value in contrast.q_values.values())


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
    p, keys = perturbations, sample_keys(ids)
    draws = [keyed_uniform(_PLACES_KEY, 0, keys, purpose=f"stress place {i}") for i in range(p.MOST_FRACTURES)]
    places = np.stack(draws, axis=1)
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
    evidence: dict[str, Judged],
    intervention: Intervention,
    on_step: Callable[[str, int, int], None],
) -> list[Version]:
    some = evidence["baseline"]
    dataset = store.get_dataset(some.runs[0].spec.dataset)
    ink: Ink = "bright" if ink_is_bright(dataset.x_train) else "dark"
    recipes = perturb(some.images, some.ids, ink=ink)
    folds = [some.fold == k for k in range(some.judging.runs_per_seed)]
    runs = [(arm, i, run) for arm, found in evidence.items() for i, run in enumerate(found.runs)]
    in_all = len(recipes) + len(runs)
    changed = []
    for done, (name, _, make) in enumerate(recipes):
        on_step(f"{name} images", done, in_all)
        changed.append(make())
    read = {arm: np.empty((len(recipes), *found.predicted.shape), dtype=np.int64) for arm, found in evidence.items()}
    for done, (arm, i, run) in enumerate(runs, start=len(recipes)):
        on_step(f"{arm}, seed {run.spec.seed}", done, in_all)
        model_file, source = store.model_file(run.id), store.load_source_of(run.spec)
        seed, k = divmod(i, len(folds))
        held_out = np.concatenate([images[folds[k]] for images in changed])
        probabilities = predict_with(model_file, held_out, source=source)
        read[arm][:, seed, folds[k]] = probabilities.argmax(axis=1).reshape(len(changed), -1)
    on_step("judging", in_all, in_all)
    pair, by_id = intervention.hypothesis.pair.indices(some.class_names), np.argsort(some.ids)
    rows = np.concatenate([by_id[some.labels[by_id] == label][:_SHOWN_PER_CLASS] for label in pair])

    def version(name: str, does: str, predicted: dict[str, np.ndarray], images: np.ndarray) -> Version:
        errors = {arm: count_errors(some.labels, p, pair) for arm, p in predicted.items()}
        return Version(name=name, does=does, errors=errors, predicted=predicted, shown=images[rows])

    untouched = {arm: found.predicted for arm, found in evidence.items()}
    return [
        version(AS_IT_IS, some.population, untouched, some.images),
        *(
            version(name, does, {arm: found[i] for arm, found in read.items()}, changed[i])
            for i, (name, does, _) in enumerate(recipes)
        ),
    ]
