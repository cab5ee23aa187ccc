"""Selective prediction: which images to answer and which to leave to a human, by the confidence of the prediction.

The confidence of a prediction is the probability of the predicted class; at or above the threshold the image is
answered, below it it waits for a human. Runs are judged one by one, or together as an ensemble of their mean
probabilities (Lakshminarayanan et al. 2017, arXiv 1612.01474).
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

import numpy as np
from pydantic import Field, computed_field

from erroran.errors import BadInput
from erroran.predictions import PredictionSet, read_predictions
from erroran.results import Result
from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.reliability import assess_calibration
from erroran.stats.selective import RiskCoverage, Selection, held_out, risk_coverage, select, threshold_for
from erroran.store import Store
from erroran.store.evidence import Evidence, gather
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord

THRESHOLD = 0.8
LADDER = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
_FOLDS = 10
_CLEAR_PAIR = 0.9  # two classes with this probability together: the image lies between them
_LIKELY = 0.1  # a class with less is not named


class RunResult(Result):
    """One run, or the ensemble of all.

    Attributes:
        name: ``seed 0``, a file, or ``ensemble``.
        errors: Number of wrong predictions.
        aurc: Area under its risk-coverage curve; `aurc_best` with the same errors, all of them least confident.
        predicted: int64 (N,).
        confidence: float64 (N,): probability of the predicted class.
        wrong: bool (N,).
        curve: Its risk-coverage curve.

    The other fields are those of `erroran.stats.reliability.Calibration`.
    """

    name: str
    errors: int
    aurc: float
    aurc_best: float
    ece_mass: float
    ece_width: float
    ece_mass_if_perfect: float
    ece_mass_if_perfect_high: float
    mean_confidence: float
    accuracy: float
    brier: float
    nll: float
    predicted: np.ndarray = Field(exclude=True)
    confidence: np.ndarray = Field(exclude=True)
    wrong: np.ndarray = Field(exclude=True)
    curve: RiskCoverage = Field(exclude=True)


class Target(Result):
    """A threshold that was chosen for an accuracy.

    Attributes:
        accuracy: What was asked for, in (0, 1).
        chosen_on: Split or files it was chosen on.
        coverage_held_out: Share answered on images that the threshold was not chosen on, 10-fold on the same split.
        accuracy_held_out: Share of these answers that is right; None if nothing is answered.
    """

    accuracy: float
    chosen_on: str
    coverage_held_out: float
    accuracy_held_out: float | None


class QueueRow(Result):
    """An image that waits for a human: a row of ``queue.csv``.

    Attributes:
        sample_id: Its id.
        index: Its place in the dataset's training images (test images for `confirm`), or in the sorted prediction file.
        label: The true class, as far as it is known.
        prediction: The class with the highest mean probability.
        confidence: That probability.
        second: The class with the second highest.
        second_confidence: Its mean probability.
        runs_waiting: Runs whose own confidence is below the threshold.
        why: The reason in words.
        row: Its place among the reviewed images.
    """

    sample_id: str
    index: int
    label: str
    prediction: str
    confidence: float
    second: str
    second_confidence: float
    runs_waiting: int
    why: str
    row: int = Field(exclude=True)


class ReviewResult(Result):
    """What answering only confident predictions does.

    Attributes:
        group: Id of the baseline group; None for prediction files.
        dataset: Name of its dataset; `note` what it had to say, such as a fallback.
        source: What the images are: ``mine``, ``confirm``, or the files' names.
        seeds: Seeds of the runs; empty for files.
        images: Number of images N.
        judged: Whether `selection` counts the decisions of the runs or of the ensemble.
        target: How the threshold was chosen, if for an accuracy.
        selection: What the threshold does.
        ladder: The same at other thresholds.
        baseline: The group itself, and `runs` its runs.
        class_names: C names.
        labels: int64 (N,).
        pixels: uint8 (N, H, W, C); None for files.
        run_results: One for each run; `ensemble` all together, None if there is one run.
        waiting: Images that wait for a human, those that most runs leave first, then the least confident. Empty on
            `confirm`.
        missed: int64: rows of images that most judged runs answer wrongly, the most confident first. Empty on
            `confirm`.
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
    baseline: Group | None = Field(exclude=True)
    runs: tuple[RunRecord, ...] = Field(exclude=True)
    class_names: tuple[str, ...] = Field(exclude=True)
    labels: np.ndarray = Field(exclude=True)
    pixels: np.ndarray | None = Field(exclude=True)
    run_results: tuple[RunResult, ...] = Field(exclude=True)
    ensemble: RunResult | None = Field(exclude=True)
    waiting: tuple[QueueRow, ...] = Field(exclude=True)
    missed: np.ndarray = Field(exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def voices(self) -> list[RunResult]:
        """The runs, then the ensemble."""
        return [*self.run_results, *([self.ensemble] if self.ensemble else [])]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def queue(self) -> list[str] | None:
        """Ids of the images that wait; None where single images are kept back."""
        return [row.sample_id for row in self.waiting] if self.shows_images else None

    @property
    def judged_runs(self) -> list[RunResult]:
        """Whose decisions `selection` counts."""
        return [self.ensemble] if self.judged == "ensemble" and self.ensemble else list(self.run_results)

    @property
    def shows_images(self) -> bool:
        """Whether single images are told; not on `confirm`: who has seen its errors can no longer test a fix on it."""
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
        NotFound: A run of the group is gone.
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
    everything = dataset.train_ids if split == "mine" else dataset.test_ids
    order = np.argsort(everything)
    return _review(
        _predictions(evidence),
        THRESHOLD if threshold is None else threshold,
        target,
        ensemble=ensemble,
        source=split,
        places=order[np.searchsorted(everything, evidence.ids, sorter=order)],
        baseline=group,
        evidence=evidence,
    )


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
        threshold: As for `review`, as are the others.
        target_accuracy: Chosen on these files.
        ensemble: Likewise.

    Raises:
        DatasetError: A file cannot be used.
        BadInput: A file has no probabilities; or as `review`.
    """
    _check_options(threshold, target_accuracy)
    found = read_predictions(list(patterns))
    source = ", ".join(found.files[:3]) + (" and others" if len(found.files) > 3 else "")
    if found.probabilities is None:
        raise BadInput(
            f"{source}: without probabilities in every file there is no confidence.",
            fix="write a column p_<class> for every class",
        )
    target = None
    if target_accuracy is not None:
        threshold, target = _choose(found, target_accuracy, ensemble=ensemble, source=source)
    threshold = THRESHOLD if threshold is None else threshold
    return _review(found, threshold, target, ensemble=ensemble, source=source, places=np.arange(len(found.labels)))


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


def _probabilities(found: PredictionSet) -> FloatArray:
    assert found.probabilities is not None
    return found.probabilities.astype(np.float64)


def _decisions(found: PredictionSet, *, ensemble: bool) -> tuple[FloatArray, BoolArray]:
    """Confidences and errors, each (S, N): of the runs, or of the ensemble with S = 1."""
    probabilities, predicted = _probabilities(found), found.predicted
    if ensemble:
        probabilities = probabilities.mean(axis=0, keepdims=True)
        predicted = probabilities.argmax(axis=2)
    confidence = np.take_along_axis(probabilities, predicted[:, :, None], axis=2)[:, :, 0]
    return confidence, predicted != found.labels


def _choose(found: PredictionSet, accuracy: float, *, ensemble: bool, source: str) -> tuple[float, Target]:
    confidence, wrong = _decisions(found, ensemble=ensemble)
    threshold = threshold_for(confidence, wrong, accuracy)
    if threshold is None:
        raise BadInput(
            f"No threshold makes {accuracy:.4%} of the answers right: the most confident predictions include errors.",
            fix="ask for less, as in --target-accuracy 0.995, or try --ensemble",
        )
    # Ids are hashes of the pixels, or whatever a file says: dealt in their order, the folds are the same every time.
    folds = np.empty(len(found.ids), dtype=np.int64)
    folds[np.argsort(found.ids)] = np.arange(len(found.ids)) % _FOLDS
    coverage, right = held_out(confidence, wrong, accuracy, folds)
    target = Target(accuracy=accuracy, chosen_on=source, coverage_held_out=coverage, accuracy_held_out=right)
    return threshold, target


def _run_result(name: str, probabilities: FloatArray, predicted: IntArray, labels: IntArray) -> RunResult:
    confidence, wrong = probabilities[np.arange(len(labels)), predicted], predicted != labels
    curve = risk_coverage(confidence, wrong)
    return RunResult(
        name=name,
        errors=int(wrong.sum()),
        aurc=curve.area,
        aurc_best=curve.best_area,
        **asdict(assess_calibration(probabilities, labels, predicted, rng=np.random.default_rng(0))),
        predicted=predicted,
        confidence=confidence,
        wrong=wrong,
        curve=curve,
    )


def _review(
    found: PredictionSet,
    threshold: float,
    target: Target | None,
    *,
    ensemble: bool,
    source: str,
    places: np.ndarray,
    baseline: Group | None = None,
    evidence: Evidence | None = None,
) -> ReviewResult:
    probabilities, several = _probabilities(found), len(found.files) > 1
    mean = probabilities.mean(axis=0)
    results = tuple(
        _run_result(name, table, predicted, found.labels)
        for name, table, predicted in zip(found.files, probabilities, found.predicted, strict=True)
    )
    confidence, wrong = _decisions(found, ensemble=ensemble)
    below = confidence < threshold
    rows, missed = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if baseline is None or source != "confirm":
        rows = np.flatnonzero(below.any(axis=0))
        rows = rows[np.lexsort((found.ids[rows], mean.max(axis=1)[rows], -below.sum(axis=0)[rows]))]
        missed = np.flatnonzero(2 * (wrong & ~below).sum(axis=0) > len(wrong))
        missed = missed[np.lexsort((found.ids[missed], -confidence.mean(axis=0)[missed]))]
    runs_below = (np.array([result.confidence for result in results]) < threshold).sum(axis=0)
    return ReviewResult(
        group=baseline.id if baseline else None,
        dataset=baseline.dataset_name if baseline else None,
        note=baseline.note if baseline else None,
        source=source,
        seeds=tuple(evidence.seeds) if evidence else (),
        images=len(found.labels),
        judged="ensemble" if ensemble and several else "runs",
        target=target,
        selection=select(confidence, wrong, threshold),
        ladder=tuple(select(confidence, wrong, step) for step in sorted({*LADDER, threshold})),
        baseline=baseline,
        runs=evidence.runs if evidence else (),
        class_names=found.class_names,
        labels=found.labels,
        pixels=evidence.images if evidence else None,
        run_results=results,
        ensemble=_run_result("ensemble", mean, mean.argmax(axis=1), found.labels) if several else None,
        waiting=tuple(_queue_row(found, mean, row, int(places[row]), int(runs_below[row])) for row in rows.tolist()),
        missed=missed,
    )


def _queue_row(found: PredictionSet, mean: FloatArray, row: int, place: int, runs_waiting: int) -> QueueRow:
    names = found.class_names
    ranked = np.argsort(-mean[row], kind="stable")
    first, second = int(ranked[0]), int(ranked[1])
    return QueueRow(
        sample_id=str(found.ids[row]),
        index=place,
        label=names[found.labels[row]],
        prediction=names[first],
        confidence=float(mean[row, first]),
        second=names[second],
        second_confidence=float(mean[row, second]),
        runs_waiting=runs_waiting,
        why=_explain(mean[row], ranked, found.predicted[:, row], names),
        row=row,
    )


def _explain(probabilities: FloatArray, ranked: np.ndarray, predicted: np.ndarray, names: tuple[str, ...]) -> str:
    """Why an image waits, from its mean probabilities and what each run predicts."""
    first, second = ranked[0], ranked[1]
    likely = [names[c] for c in ranked if probabilities[c] >= _LIKELY]
    if len(likely) < 2:
        reason = f"low probability of {names[first]}"
    elif probabilities[first] + probabilities[second] >= _CLEAR_PAIR:
        reason = f"between {names[first]} and {names[second]}"
    else:
        reason = f"several likely classes: {', '.join(likely)}"
    classes, counts = np.unique(predicted, return_counts=True)
    if len(classes) == 1:
        return reason
    told = (f"{n} read {names[c]}" for n, c in sorted(zip(counts, classes, strict=True), key=lambda pair: -pair[0]))
    return f"{reason}; runs disagree: {', '.join(told)}"
