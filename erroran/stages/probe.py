"""Test a hypothesis with the stored baseline models, without training; the rule is in `erroran.shape.sweep`."""

import numpy as np
from pydantic import Field, computed_field

from erroran.experiment.endpoint import Endpoint
from erroran.experiment.hypothesis import Hypothesis, check_classes
from erroran.experiment.pair import Pair
from erroran.results import Result
from erroran.shape.sweep import (
    ProbedDirection,
    Strip,
    Word,
    choose_images,
    choose_strips,
    examine_direction,
    find_causes,
    judge_directions,
    sweep_images,
)
from erroran.store import Store
from erroran.store.evidence import gather
from erroran.store.records import Group, RunRecord
from erroran.training.predict import predict_with


class ProbeResult(Result):
    """Result of a probe.

    Attributes:
        hypothesis: Name of the hypothesis; `spec` is its content, `hash` the hash of it.
        baseline: The baseline group; `group` is its id.
        records: Its runs; `runs` are their ids.
        images: Number of images swept.
        doses_px: Doses of the sweep; negative erodes, positive dilates.
        shape: Shape of the kernel.
        forward: Result for images of the pair's true class; `reverse` for the reverse pair.
        strips: A few images.
    """

    hypothesis: str
    spec: Hypothesis = Field(exclude=True)
    hash: str
    pair: Pair
    primary: Endpoint
    baseline: Group = Field(exclude=True)
    records: tuple[RunRecord, ...] = Field(exclude=True)
    group: str
    dataset: str
    note: str | None
    runs: list[str]
    seeds: list[int]
    images: int
    doses_px: list[float]
    shape: str
    forward: ProbedDirection
    reverse: ProbedDirection
    strips: list[Strip] = Field(exclude=True)

    @property
    def judged(self) -> list[ProbedDirection]:
        """The directions of the spec's primary endpoint."""
        return [(self.forward, self.reverse)[true] for true, _ in self.primary.cells((0, 1))]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> Word:
        """The verdict on the hypothesis."""
        return judge_directions(self.judged)


def probe(
    store: Store,
    group: Group,
    name: str,
    hypothesis: Hypothesis,
    *,
    most_per_class: int = 1000,
    most_bystanders: int = 1000,
) -> ProbeResult:
    """Sweep images of `mine` and predict them with the stored baseline models of all seeds. Trains nothing.

    Args:
        store: Holds the group's runs and their models.
        group: The baseline group.
        name: The hypothesis' name.
        hypothesis: Its spec; see `erroran.shape.sweep.find_causes`.
        most_per_class: Images of each class of the pair; additional errors of the pair are swept for the repair only.
        most_bystanders: Images of all other classes together.

    Raises:
        NotFound: The spec names a class that the dataset lacks, or a run is gone.
        BadInput: The spec cannot be swept, or the images are not grey.
        ErroranError: A stored model cannot be read.
    """
    evidence = gather(store, [group.run_spec(seed).id for seed in group.seeds], "mine")
    names = evidence.class_names
    check_classes(hypothesis, names)
    pair = hypothesis.pair.indices(names)
    step, causes = find_causes(name, hypothesis)
    most = most_per_class, most_bystanders
    rows, drawn = choose_images(evidence.labels, evidence.predicted, evidence.ids, pair, most=most)
    swept = sweep_images(evidence.images[rows], evidence.labels[rows], drawn, step, causes)
    flat = swept.images.reshape(-1, *swept.images.shape[2:])

    def predict(run: RunRecord) -> np.ndarray:
        model, source = store.model_file(run.id), store.load_source_of(run.spec)
        probabilities = predict_with(model, flat, source=source)
        return np.asarray(probabilities.argmax(axis=1).reshape(swept.images.shape[:2]))

    read = np.stack([predict(run) for run in evidence.runs])
    return ProbeResult(
        hypothesis=name,
        spec=hypothesis,
        hash=hypothesis.hash,
        pair=hypothesis.pair,
        primary=hypothesis.primary,
        baseline=group,
        records=evidence.runs,
        group=group.id,
        dataset=group.dataset_name,
        note=group.note,
        runs=[run.id for run in evidence.runs],
        seeds=evidence.seeds,
        images=len(rows),
        doses_px=swept.doses.tolist(),
        shape=step.shape,
        forward=examine_direction(swept, read, pair, causes[0], names),
        reverse=examine_direction(swept, read, pair[::-1], causes[1], names),
        strips=choose_strips(swept, read, pair, causes, names),
    )
