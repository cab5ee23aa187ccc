"""Selective prediction: which images to answer and which to leave to a human, by the confidence of the prediction.

The confidence of a prediction is the probability of the predicted class. An image is answered if its confidence is at
least the threshold; otherwise it waits for a human. Runs are judged one by one, or together as an ensemble of their
mean probabilities (Lakshminarayanan et al. 2017, arXiv 1612.01474).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field, computed_field

from erroran.errors import BadInput
from erroran.predictions import PredictionSet, read_predictions
from erroran.results import Result
from erroran.stats.reliability import Calibration, assess_calibration
from erroran.stats.selective import Selection, held_out, risk_coverage, select, threshold_for
from erroran.store import Store
from erroran.store.evidence import Evidence, gather
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord

THRESHOLD = 0.8
LADDER = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
_FOLDS = 10


@dataclass(frozen=True)
class RunResult(Calibration):
    """One run, or the ensemble of all.

    Attributes:
        name: ``seed 0``, a file, or ``ensemble``.
        errors: Number of wrong predictions.
        aurc: Area under its risk-coverage curve.
        aurc_best: The area if the same errors were the least confident predictions.
    """

    name: str
    errors: int
    aurc: float
    aurc_best: float


class Target(Result):
    """The accuracy that the threshold was chosen for.

    Attributes:
        accuracy: In (0, 1).
        chosen_on: Split or files that the threshold was chosen on.
        coverage_held_out: Share answered in a 10-fold cross-validation on the same images.
        accuracy_held_out: Share of these answers that is right; None if nothing is answered.
    """

    accuracy: float
    chosen_on: str
    coverage_held_out: float
    accuracy_held_out: float | None


class ReviewResult(Result):
    """What answering only confident predictions does.

    Attributes:
        group: Id of the baseline group; None for prediction files, as are `dataset`, `note`, `baseline` and `pixels`.
        dataset: Name of the group's dataset.
        note: Remark of the dataset, for example that a fallback was used.
        source: ``mine``, ``confirm``, or the names of the files.
        seeds: Seeds of the runs; empty for files.
        images: Number of images N.
        judged: Whether `selection` and `ladder` count the decisions of the ensemble or of the runs.
        target: None if the threshold was not chosen for an accuracy.
        selection: Counts at the threshold.
        ladder: The same at the thresholds `LADDER` and at this one, ascending.
        voices: The runs, then, if there are several, the ensemble.
        baseline: The group.
        runs: Its runs.
        predictions: Predictions of the runs, with probabilities.
        ensemble: Their mean as one run; None if there is one run.
        pixels: uint8 (N, H, W, C).
        places: int64 (N,): place of each image in the dataset's training images (test images for `confirm`), or in the
            prediction files as they are sorted.
        waiting: int64: images that wait for a human, those that most runs leave first, then the least confident. Empty
            on `confirm`.
        missed: int64: images that most judged runs answer wrongly, the most confident first. Empty on `confirm`.
    """

    group: str | None
    dataset: str | None
    note: str | None
    source: str
    seeds: tuple[int, ...]
    images: int
    judged: Literal["ensemble", "runs"]
    target: Target | None
    selection: Selection
    ladder: tuple[Selection, ...]
    voices: tuple[RunResult, ...]
    baseline: Group | None = Field(exclude=True)
    runs: tuple[RunRecord, ...] = Field(exclude=True)
    predictions: PredictionSet = Field(exclude=True)
    ensemble: PredictionSet | None = Field(exclude=True)
    pixels: np.ndarray | None = Field(exclude=True)
    places: np.ndarray = Field(exclude=True)
    waiting: np.ndarray = Field(exclude=True)
    missed: np.ndarray = Field(exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def queue(self) -> list[str] | None:
        """Ids of the images that wait; None where single images are not shown."""
        return self.predictions.ids[self.waiting].tolist() if self.shows_images else None

    @property
    def judged_predictions(self) -> PredictionSet:
        """Those that `selection` counts."""
        return self.ensemble if self.judged == "ensemble" and self.ensemble else self.predictions

    @property
    def shows_images(self) -> bool:
        """False on `confirm`: whoever has seen the errors there can no longer test a fix on it."""
        return self.baseline is None or self.source != "confirm"


def review(
    store: Store,
    group: Group,
    *,
    threshold: float | None = None,
    target_accuracy: float | None = None,
    split: str = "mine",
    ensemble: bool = False,
) -> ReviewResult:
    """Review the stored runs of a baseline group. Trains nothing.

    Args:
        store: Holds the group's runs.
        group: Exactly its seeds are used.
        threshold: In (0, 1]; `THRESHOLD` if neither it nor a target is given.
        target_accuracy: In (0, 1): the lowest threshold that reaches it on `mine` is used, also on `confirm`.
        split: ``mine``; or ``confirm``, which is entered in the ledger and shows no single image.
        ensemble: Judge the mean probabilities of all runs instead of each run.

    Raises:
        NotFound: A run of the group was removed.
        BadInput: Both threshold and target are given, one is out of range, or no threshold reaches the target.
    """
    _check_options(threshold, target_accuracy)
    run_ids = [group.run_spec(seed).id for seed in group.seeds]
    look = None
    if split == "confirm":
        look = Entry(kind="reviewed-on-confirm", dataset=group.template.dataset, group=group.id, seeds=group.seeds)
    evidence = gather(store, run_ids, split, look=look)
    target = None
    if target_accuracy is not None:
        chosen_on = evidence if split == "mine" else gather(store, run_ids, "mine")
        threshold, target = _choose(_predictions(chosen_on), target_accuracy, ensemble=ensemble, source="mine")
    dataset = store.get_dataset(group.template.dataset)
    place = {sample_id: i for i, sample_id in enumerate(dataset.train_ids if split == "mine" else dataset.test_ids)}
    places = np.array([place[sample_id] for sample_id in evidence.ids])
    found = _predictions(evidence)
    return _review(found, threshold, target, places, ensemble=ensemble, source=split, baseline=group, evidence=evidence)


def review_files(
    patterns: Sequence[str],
    *,
    threshold: float | None = None,
    target_accuracy: float | None = None,
    ensemble: bool = False,
) -> ReviewResult:
    """Review prediction files of any framework, one run per file.

    Args:
        patterns: Paths or patterns of files with ``p_<class>`` columns.
        threshold: See `review`.
        target_accuracy: See `review`; the threshold is chosen on these files.
        ensemble: See `review`.

    Raises:
        DatasetError: A file cannot be used.
        BadInput: A file has no probabilities; or see `review`.
    """
    _check_options(threshold, target_accuracy)
    found = read_predictions(list(patterns))
    source = ", ".join(found.files[:3]) + (" and others" if len(found.files) > 3 else "")
    if found.probabilities is None:
        raise BadInput(
            f"{source}: not every file has probabilities, which the confidences are taken from.",
            fix="write a column p_<class> for every class",
        )
    target = None
    if target_accuracy is not None:
        threshold, target = _choose(found, target_accuracy, ensemble=ensemble, source=source)
    return _review(found, threshold, target, np.arange(len(found.labels)), ensemble=ensemble, source=source)


def _check_options(threshold: float | None, target_accuracy: float | None) -> None:
    if threshold is not None and target_accuracy is not None:
        raise BadInput("--threshold and --target-accuracy were both given.", fix="give one of them")
    if threshold is not None and not 0 < threshold <= 1:
        raise BadInput(f"--threshold {threshold:g} is not above 0 and at most 1.", fix="--threshold 0.8")
    if target_accuracy is not None and not 0 < target_accuracy < 1:
        raise BadInput(
            f"--target-accuracy {target_accuracy:g} does not lie between 0 and 1.", fix="--target-accuracy 0.999"
        )


def _predictions(evidence: Evidence) -> PredictionSet:
    return PredictionSet(
        labels=evidence.labels,
        predicted=evidence.predicted,
        probabilities=evidence.probabilities,
        ids=evidence.ids,
        class_names=evidence.class_names,
        files=tuple(f"seed {seed}" for seed in evidence.seeds),
    )


def _ensemble(found: PredictionSet) -> PredictionSet | None:
    """The mean of several runs as a single run."""
    assert found.probabilities is not None
    if len(found.files) == 1:
        return None
    mean = found.probabilities.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return replace(found, probabilities=mean, predicted=mean.argmax(axis=2), files=("ensemble",))


def _choose(found: PredictionSet, accuracy: float, *, ensemble: bool, source: str) -> tuple[float, Target]:
    judged = _ensemble(found) or found if ensemble else found
    confidence, wrong = judged.confidence, judged.wrong
    threshold = threshold_for(confidence, wrong, accuracy)
    if threshold is None:
        raise BadInput(
            f"No threshold makes {accuracy:.4%} of the answers right: the most confident predictions include errors.",
            fix="ask for less, as in --target-accuracy 0.995, or try --ensemble",
        )
    folds = np.empty(len(found.ids), dtype=np.int64)
    folds[np.argsort(found.ids)] = np.arange(len(found.ids)) % _FOLDS  # by id, so that they are always the same
    coverage, right = held_out(confidence, wrong, accuracy, folds)
    return threshold, Target(accuracy=accuracy, chosen_on=source, coverage_held_out=coverage, accuracy_held_out=right)


def _run_results(found: PredictionSet) -> list[RunResult]:
    assert found.probabilities is not None
    results = []
    for i, (name, confidence, wrong) in enumerate(zip(found.files, found.confidence, found.wrong, strict=True)):
        curve, rng = risk_coverage(confidence, wrong), np.random.default_rng(0)
        fit = assess_calibration(found.probabilities[i], found.labels, found.predicted[i], rng=rng)
        errors = int(wrong.sum())
        results.append(RunResult(name=name, errors=errors, aurc=curve.area, aurc_best=curve.best_area, **asdict(fit)))
    return results


def _review(
    found: PredictionSet,
    threshold: float | None,
    target: Target | None,
    places: np.ndarray,
    *,
    ensemble: bool,
    source: str,
    baseline: Group | None = None,
    evidence: Evidence | None = None,
) -> ReviewResult:
    threshold = THRESHOLD if threshold is None else threshold
    together = _ensemble(found)
    judged = together if ensemble and together else found
    confidence, wrong = judged.confidence, judged.wrong
    below = confidence < threshold
    waiting, missed = np.flatnonzero(below.any(axis=0)), np.flatnonzero(2 * (wrong & ~below).sum(axis=0) > len(wrong))
    if baseline and source == "confirm":
        waiting = missed = np.empty(0, dtype=np.int64)
    probabilities = (together or found).probabilities
    assert probabilities is not None
    likeliest = probabilities[0].max(axis=1)
    return ReviewResult(
        group=baseline.id if baseline else None,
        dataset=baseline.dataset_name if baseline else None,
        note=baseline.note if baseline else None,
        source=source,
        seeds=tuple(evidence.seeds) if evidence else (),
        images=len(found.labels),
        judged="ensemble" if judged is together else "runs",
        target=target,
        selection=select(confidence, wrong, threshold),
        ladder=tuple(select(confidence, wrong, step) for step in sorted({*LADDER, threshold})),
        voices=tuple(result for part in (found, together) if part for result in _run_results(part)),
        baseline=baseline,
        runs=evidence.runs if evidence else (),
        predictions=found,
        ensemble=together,
        pixels=evidence.images if evidence else None,
        places=places,
        waiting=waiting[np.lexsort((found.ids[waiting], likeliest[waiting], -below.sum(axis=0)[waiting]))],
        missed=missed[np.lexsort((found.ids[missed], -confidence.mean(axis=0)[missed]))],
    )
