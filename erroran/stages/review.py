"""Answer when sure, ask a human otherwise: what that buys, whether the confidences can be trusted, and who must look.

The confidence of a prediction is the probability of the class that is predicted; at or above the threshold it is
answered, below it waits. Runs are judged one by one, or together as an ensemble of their mean probabilities
(Lakshminarayanan et al. 2017, arXiv 1612.01474).
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from erroran.errors import BadInput
from erroran.predictions import read_predictions
from erroran.stats.confusion import BoolArray, FloatArray, IntArray
from erroran.stats.reliability import Calibration, assess_calibration
from erroran.stats.selective import RiskCoverage, Selection, held_out, risk_coverage, select, threshold_for
from erroran.store import Store
from erroran.store.evidence import Evidence, gather
from erroran.store.ledger import Entry
from erroran.store.records import Group, RunRecord

THRESHOLD = 0.8
LADDER = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
_FOLDS = 10
_CLEAR_PAIR = 0.9
_LIKELY = 0.1


@dataclass(frozen=True)
class Voice:
    """One run, or the ensemble of all.

    Attributes:
        name: ``seed 0``, a file, or ``ensemble``.
        predicted: int64 (N,).
        confidence: float64 (N,): probability of the predicted class.
        wrong: bool (N,).
        curve: Its risk-coverage curve.
        calibration: How its confidences fit.
    """

    name: str
    predicted: np.ndarray
    confidence: np.ndarray
    wrong: np.ndarray
    curve: RiskCoverage
    calibration: Calibration


@dataclass(frozen=True)
class Target:
    """A threshold that was chosen for an accuracy.

    Attributes:
        accuracy: What was asked for, in (0, 1].
        chosen_on: Split or files it was chosen on.
        coverage_held_out: Share answered on images that the threshold was not chosen on, 10-fold on the same split.
        accuracy_held_out: Share of these answers that is right; None if nothing is answered.
    """

    accuracy: float
    chosen_on: str
    coverage_held_out: float
    accuracy_held_out: float | None


@dataclass(frozen=True)
class Waiting:
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
        why: In words.
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


@dataclass(frozen=True)
class Reviewed:
    """What rejecting by confidence does.

    Attributes:
        group: The baseline group; None for prediction files.
        runs: Its runs; empty for files.
        source: What the images are: ``mine``, ``confirm``, or the files' names.
        class_names: C names.
        n_images: N.
        images: uint8 (N, H, W, C); None for files.
        voices: The runs.
        ensemble: All runs together; None if there is one.
        by_ensemble: Whether the ensemble is what is judged, instead of the runs.
        selection: What it does at the threshold.
        ladder: The same at other thresholds.
        target: How the threshold was chosen, if for an accuracy.
        queue: Images that wait: for the ensemble, or for at least one run; on `confirm` not told.
        missed: Rows of images that most runs (or the ensemble) answer wrongly, surest first; likewise.
        queue_rows: int64: rows of `queue`.
        labels: int64 (N,).
    """

    group: Group | None
    runs: tuple[RunRecord, ...]
    source: str
    class_names: tuple[str, ...]
    n_images: int
    images: np.ndarray | None
    voices: list[Voice]
    ensemble: Voice | None
    by_ensemble: bool
    selection: Selection
    ladder: list[Selection]
    target: Target | None
    queue: list[Waiting]
    missed: np.ndarray
    queue_rows: np.ndarray
    labels: np.ndarray

    @property
    def judged(self) -> list[Voice]:
        """Whose decisions `selection` counts."""
        return [self.ensemble] if self.by_ensemble and self.ensemble else self.voices

    @property
    def discreet(self) -> bool:
        """Whether single images are kept back, as on `confirm`: who has seen its errors can no longer test on it."""
        return self.source == "confirm"

    def queue_csv(self) -> str:
        """The queue as CSV, the most doubtful first."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([field.name for field in fields(Waiting)])
        for waiting in self.queue:
            row = asdict(waiting)
            writer.writerow(f"{value:.6f}" if isinstance(value, float) else value for value in row.values())
        return text.getvalue()

    def to_json(self) -> dict[str, object]:
        """The numbers as strict JSON-ready data; the queue is in its own file."""
        voices = [*self.voices, *([self.ensemble] if self.ensemble else [])]
        return {
            "group": self.group.id if self.group else None,
            "dataset": self.group.dataset_name if self.group else None,
            "note": self.group.note if self.group else None,
            "source": self.source,
            "seeds": [run.spec.seed for run in self.runs],
            "images": self.n_images,
            "judged": "ensemble" if self.by_ensemble else "runs",
            "target": asdict(self.target) if self.target else None,
            "selection": asdict(self.selection),
            "ladder": [asdict(step) for step in self.ladder],
            "voices": [
                {
                    "name": voice.name,
                    "errors": int(voice.wrong.sum()),
                    "aurc": voice.curve.area,
                    "aurc_best": voice.curve.best_area,
                    **asdict(voice.calibration),
                }
                for voice in voices
            ],
            "queue": None if self.discreet else [waiting.sample_id for waiting in self.queue],
        }


@dataclass(frozen=True)
class _Material:
    """What is reviewed, wherever it came from."""

    names: list[str]
    probabilities: np.ndarray
    predicted: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    class_names: tuple[str, ...]


def review(
    store: Store,
    group: Group,
    *,
    threshold: float | None = None,
    target_accuracy: float | None = None,
    split: str = "mine",
    ensemble: bool = False,
) -> Reviewed:
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
        BadInput: Both or neither can be used, or no threshold reaches the target.
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
        threshold, target = _choose(_material(chosen_on), target_accuracy, ensemble=ensemble, source="mine")
    dataset = store.get_dataset(group.template.dataset)
    everything = dataset.train_ids if split == "mine" else dataset.test_ids
    order = np.argsort(everything)
    return _review(
        _material(evidence),
        THRESHOLD if threshold is None else threshold,
        target,
        ensemble=ensemble,
        source=split,
        places=order[np.searchsorted(everything, evidence.ids, sorter=order)],
        group=group,
        runs=evidence.runs,
        images=evidence.images,
    )


def review_files(
    patterns: Sequence[str],
    *,
    threshold: float | None = None,
    target_accuracy: float | None = None,
    ensemble: bool = False,
) -> Reviewed:
    """Review prediction files of any framework, one run a file.

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
    if found.probabilities is None:
        raise BadInput(
            f"{', '.join(found.files[:3])}: there is no confidence without probabilities in every file.",
            fix="write a column p_<class> for every class",
        )
    source = ", ".join(found.files[:3]) + (" and others" if len(found.files) > 3 else "")
    material = _Material(
        list(found.files), found.probabilities, found.predicted, found.labels, found.ids, found.class_names
    )
    target = None
    if target_accuracy is not None:
        threshold, target = _choose(material, target_accuracy, ensemble=ensemble, source=source)
    return _review(
        material,
        THRESHOLD if threshold is None else threshold,
        target,
        ensemble=ensemble,
        source=source,
        places=np.arange(len(found.labels)),
    )


def _check_options(threshold: float | None, target_accuracy: float | None) -> None:
    if threshold is not None and target_accuracy is not None:
        raise BadInput("--threshold and --target-accuracy were both given.", fix="give one of them")
    if threshold is not None and not 0 < threshold <= 1:
        raise BadInput(f"--threshold {threshold:g} is not above 0 and at most 1.", fix="--threshold 0.8")
    if target_accuracy is not None and not 0 < target_accuracy < 1:
        raise BadInput(
            f"--target-accuracy {target_accuracy:g} does not lie between 0 and 1.", fix="--target-accuracy 0.999"
        )


def _material(evidence: Evidence) -> _Material:
    return _Material(
        names=[f"seed {seed}" for seed in evidence.seeds],
        probabilities=evidence.probabilities,
        predicted=evidence.predicted,
        labels=evidence.labels,
        ids=evidence.ids,
        class_names=evidence.class_names,
    )


def _mean_probabilities(material: _Material) -> FloatArray:
    mean: FloatArray = material.probabilities.mean(axis=0, dtype=np.float64)
    return mean


def _decisions(material: _Material, *, ensemble: bool) -> tuple[FloatArray, BoolArray]:
    """Confidences and errors, each (S, N): of the runs, or of the ensemble with S = 1."""
    probabilities, predicted = np.asarray(material.probabilities, dtype=np.float64), material.predicted
    if ensemble:
        probabilities = _mean_probabilities(material)[None]
        predicted = probabilities.argmax(axis=2)
    confidence = np.take_along_axis(probabilities, predicted[:, :, None], axis=2)[:, :, 0]
    return confidence, predicted != material.labels


def _choose(material: _Material, accuracy: float, *, ensemble: bool, source: str) -> tuple[float, Target]:
    confidence, wrong = _decisions(material, ensemble=ensemble)
    threshold = threshold_for(confidence, wrong, accuracy)
    if threshold is None:
        raise BadInput(
            f"No threshold makes {accuracy:.4%} of the answers right: the surest predictions include errors.",
            fix="ask for less, as in --target-accuracy 0.995, or try --ensemble",
        )
    # Ids are hashes of the pixels, or whatever a file says: dealt in their order, the folds are the same every time.
    folds = np.empty(len(material.ids), dtype=np.int64)
    folds[np.argsort(material.ids)] = np.arange(len(material.ids)) % _FOLDS
    coverage, right = held_out(confidence, wrong, accuracy, folds)
    return threshold, Target(accuracy, source, coverage, right)


def _voice(name: str, probabilities: np.ndarray, predicted: IntArray, labels: IntArray) -> Voice:
    table = np.asarray(probabilities, dtype=np.float64)
    confidence, wrong = table[np.arange(len(labels)), predicted], predicted != labels
    calibration = assess_calibration(table, labels, predicted, rng=np.random.default_rng(0))
    return Voice(name, predicted, confidence, wrong, risk_coverage(confidence, wrong), calibration)


def _review(
    material: _Material,
    threshold: float,
    target: Target | None,
    *,
    ensemble: bool,
    source: str,
    places: np.ndarray,
    group: Group | None = None,
    runs: tuple[RunRecord, ...] = (),
    images: np.ndarray | None = None,
) -> Reviewed:
    several = len(material.names) > 1
    voices = [
        _voice(name, table, predicted, material.labels)
        for name, table, predicted in zip(material.names, material.probabilities, material.predicted, strict=True)
    ]
    mean = _mean_probabilities(material)
    together = _voice("ensemble", mean, mean.argmax(axis=1), material.labels) if several else None
    confidence, wrong = _decisions(material, ensemble=ensemble)
    waiting = confidence < threshold
    rows, missed = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if source != "confirm":
        rows = np.flatnonzero(waiting.any(axis=0))
        rows = rows[np.lexsort((material.ids[rows], mean.max(axis=1)[rows], -waiting.sum(axis=0)[rows]))]
        missed = np.flatnonzero(2 * (wrong & ~waiting).sum(axis=0) > len(wrong))
        missed = missed[np.lexsort((material.ids[missed], -confidence.mean(axis=0)[missed]))]
    below = np.array([voice.confidence for voice in voices]) < threshold
    return Reviewed(
        group=group,
        runs=runs,
        source=source,
        class_names=material.class_names,
        n_images=len(material.labels),
        images=images,
        voices=voices,
        ensemble=together,
        by_ensemble=ensemble and several,
        selection=select(confidence, wrong, threshold),
        ladder=[select(confidence, wrong, step) for step in sorted({*LADDER, threshold})],
        target=target,
        queue=[_waiting(material, mean, row, int(places[row]), int(below[:, row].sum())) for row in rows.tolist()],
        missed=missed,
        queue_rows=rows,
        labels=material.labels,
    )


def _waiting(material: _Material, mean: FloatArray, row: int, place: int, runs_waiting: int) -> Waiting:
    names = material.class_names
    ranked = np.argsort(-mean[row], kind="stable")
    first, second = int(ranked[0]), int(ranked[1])
    return Waiting(
        sample_id=str(material.ids[row]),
        index=place,
        label=names[material.labels[row]],
        prediction=names[first],
        confidence=float(mean[row, first]),
        second=names[second],
        second_confidence=float(mean[row, second]),
        runs_waiting=runs_waiting,
        why=_why(mean[row], ranked, material.predicted[:, row], names),
    )


def _why(probabilities: FloatArray, ranked: np.ndarray, votes: np.ndarray, names: tuple[str, ...]) -> str:
    first, second = ranked[0], ranked[1]
    likely = [names[c] for c in ranked if probabilities[c] >= _LIKELY]
    if len(likely) < 2:
        reason = f"not quite sure of {names[first]}"
    elif probabilities[first] + probabilities[second] >= _CLEAR_PAIR:
        reason = f"between {names[first]} and {names[second]}"
    else:
        reason = f"like several classes: {', '.join(likely)}"
    classes, counts = np.unique(votes, return_counts=True)
    if len(classes) == 1:
        return reason
    told = (f"{n} read {names[c]}" for n, c in sorted(zip(counts, classes, strict=True), key=lambda pair: -pair[0]))
    return f"{reason}; runs disagree: {', '.join(told)}"
