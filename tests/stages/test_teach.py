"""The lesson: its numbers are those of the runs, and a second call trains nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from erroran.data import split_dataset
from erroran.errors import BadInput, NotFound
from erroran.execution.driver import Completed, Request
from erroran.report.teach import headline_histogram, lesson_sentence, regression_chart, write_lesson
from erroran.stages.teach import MINE_FRACTION, LessonResult, teach
from erroran.store import Predictions, Store
from erroran.store.records import RunRecord

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, make_record: Callable[..., RunRecord]) -> list[str]:
    """Instead of training: runs that err at random on the hard images of the real digits."""
    trained: list[str] = []

    def pretend(store: Store, requests: list[Request], **options: Any) -> Completed:
        missing = [request for request in requests if not store.has_run(request.spec.id)]
        dataset = store.get_dataset(requests[0].spec.dataset)
        splits = split_dataset(dataset, mine_fraction=requests[0].spec.mine_fraction)
        hard = np.random.default_rng(0)
        rates = {name: hard.beta(0.1, 1.5, len(getattr(splits, name).y)) for name in ("mine", "confirm")}
        for request in missing:
            rng = np.random.default_rng(request.spec.seed)
            predictions = {}
            for name, rate in rates.items():
                part = getattr(splits, name)
                read_as = np.where(rng.random(rate.size) < rate, (part.y + 1) % 10, part.y)
                predictions[name] = Predictions(
                    probabilities=np.eye(10, dtype=np.float32)[read_as], labels=part.y, ids=part.ids
                )
            versions = {"python": "3.11", "erroran": "0", "tensorflow": "0"}
            machine = {"platform": "test", "cpus": "1"}
            store.put_run(make_record(request.spec, versions=versions, machine=machine), predictions, {})
            trained.append(request.spec.id)
        return Completed([store.get_run(r.spec.id) for r in requests], [r.spec.id for r in missing])

    monkeypatch.setattr("erroran.stages.teach.complete_runs", pretend)
    return trained


def taught(store: Store, **options: Any) -> LessonResult:
    return teach(store, **{"n_runs": 13, "n_draws": 6, **options})


def test_a_second_lesson_trains_nothing_and_is_the_same(store: Store, trained: list[str]) -> None:
    first = taught(store)
    assert (len(trained), first.protocol.comparisons) == (13, 6)
    assert {record.spec.mine_fraction for record in first.completed.records} == {MINE_FRACTION}
    again = taught(store)
    assert (len(trained), again.completed.trained) == (13, [])
    assert again.to_json() == first.to_json()


def test_the_lesson_leaves_the_users_own_work_alone(store: Store, trained: list[str]) -> None:
    taught(store)
    (entry,) = store.ledger.entries()
    assert (entry.kind, entry.seeds) == ("teach", tuple(range(13)))
    with pytest.raises(NotFound):
        store.get_group()


def test_too_few_runs_are_refused(store: Store, trained: list[str]) -> None:
    with pytest.raises(BadInput, match="13 runs cannot be drawn from 12"):
        taught(store, n_runs=12)


def test_the_report_says_what_the_runs_say(store: Store, trained: list[str], tmp_path: Path) -> None:
    lesson = taught(store)
    path = write_lesson(lesson, tmp_path / "reports")
    text = path.read_text()
    naive = lesson.naive
    assert text.startswith("# A treatment that changes nothing")
    assert lesson_sentence(lesson) in text.splitlines()[2]
    assert f"{naive.improved:.0%}".replace("%", " %") in text.splitlines()[2]
    assert naive.mean_change < 0  # the worst cell regresses, whatever the seeds
    assert "{{" not in text
    assert "nan" not in text
    beside = tmp_path / "reports" / "teach"
    saved = json.loads((beside / "teach.json").read_text())
    assert saved["naive"]["counts"] == naive.counts
    assert saved["protocol"]["comparisons"] == len(saved["protocol"]["verdicts"]) == 6
    assert saved.keys() >= {"dataset", "seeds", "accuracy", "naive", "protocol"}
    for link in ("teach/headlines.png", "teach/regression.png"):
        assert link in text
        assert (tmp_path / "reports" / link).read_bytes()[:8] == PNG


def test_the_figures_show_every_pair_and_every_run(store: Store, trained: list[str]) -> None:
    lesson = taught(store)
    bars = headline_histogram.draw(lesson.replay).axes[0].patches
    assert sum(bar.get_height() for bar in bars) == 13 * 12
    axes = regression_chart.draw(lesson.replay, lesson.seeds).axes[0]
    diamonds = axes.lines[-1].get_ydata()
    assert sorted(diamonds) == sorted(np.diag(lesson.replay.counts))
    assert len(axes.get_xticklabels()) == 13
