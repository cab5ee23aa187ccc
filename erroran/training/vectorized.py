"""Train several seeds of one run as one program: their weights are stacked, and JAX's ``vmap`` trains them together.

Keras has to run on JAX. Every seed has its own initial weights, order of the images, dropout and augmentation: those of
`erroran.training.fit.train`. Only sums may be rounded otherwise.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from erroran.data import Dataset, Part, Splits
from erroran.errors import BadInput
from erroran.experiment.runspec import RunSpec
from erroran.training.fit import Prepared, Progress, TrainedRun, finish, prepare, training_parts


def train_together(
    specs: Sequence[RunSpec],
    splits: Splits,
    class_names: tuple[str, ...],
    on_progress: Callable[[Progress], None] = lambda _: None,
    *,
    source: str | None = None,
    added: Dataset | None = None,
) -> list[TrainedRun]:
    """Train runs that differ in nothing but the seed, and predict `mine` and `confirm` with each.

    Args:
        specs: The runs, S >= 1. The memory for activations is S times that of one run.
        splits: The images; uint8 (n, H, W, C) each.
        class_names: Name of each label.
        on_progress: Called for each run after each block of steps.
        source: Code of a user's own model.
        added: The dataset ``spec.data.add``, whose training images are added.

    Returns:
        A result per spec.

    Raises:
        TrainingError: The loss or the predictions of a run became NaN or infinite.
        BadInput: The recipe chooses epochs; or as for `erroran.training.fit.train`.
    """
    from erroran.training.models import own

    if specs[0].recipe.chooses_epochs:
        raise BadInput(
            "Runs that stop early, halve the rate on plateaus or keep the best epoch cannot be trained as one program: "
            "each would do so after another epoch.",
            fix="leave out --executor vectorized, or choose a recipe with a fixed number of epochs",
        )
    started = time.perf_counter()
    with own.guarded(specs[0].model):
        fitted, validation = training_parts(specs[0], splits, class_names, added)
        stacked = _Stacked([prepare(spec, fitted, class_names, source) for spec in specs], validation)
        epochs = [
            stacked.train_epoch(epoch, on_progress) | stacked.evaluate(validation)
            for epoch in range(1, specs[0].recipe.epochs + 1)
        ]
        histories = [
            {name: [float(epoch[name][s]) for epoch in epochs] for name in epochs[0]} for s in range(len(specs))
        ]
        runs = [finish(stacked.load(s), history, splits) for s, history in enumerate(histories)]
    seconds = (time.perf_counter() - started) / len(specs)
    return [replace(run, seconds=seconds) for run in runs]


class _Stacked:
    """The variables of S prepared runs, each stacked along its first axis, and a model that computes with them.

    Args:
        runs: The runs, S >= 1; the model of the last one computes, and its own variables are overwritten by `load`.
        example: Images and labels to build the model's loss and metrics with.
    """

    def __init__(self, runs: Sequence[Prepared], example: Part) -> None:
        import jax

        self._runs, self._model = runs, runs[-1].model
        self._trainable = _stack([run.model.trainable_variables for run in runs])
        self._fixed = _stack([run.model.non_trainable_variables for run in runs])  # seeds of dropout among them
        first = np.arange(1)
        self._model.test_on_batch(example.read(first), example.y[first])
        self._model.reset_metrics()
        self._model.optimizer.build(self._model.trainable_variables)
        self._optimizer = _stack([self._model.optimizer.variables] * len(runs))
        self._metrics = _stack([self._model.metrics_variables] * len(runs))
        train_step = jax.vmap(self._model.train_step)

        def train(state: Any, block: Any) -> Any:
            def step(state: Any, batch: Any) -> Any:
                logs, state = train_step(state, batch)
                return state, logs

            state, logs = jax.lax.scan(step, state, block)
            return state, {name: values[-1] for name, values in logs.items()}  # means of the epoch so far

        self._train = jax.jit(train, donate_argnums=0)
        self._test = jax.jit(jax.vmap(self._model.test_step, in_axes=(0, None)))

    def train_epoch(self, epoch: int, on_progress: Callable[[Progress], None]) -> dict[str, np.ndarray]:
        """Train an epoch, counted from 1; mean loss and accuracy of each run, (S,)."""
        state = (self._trainable, self._fixed, self._optimizer, [*map(_copy, self._metrics)])
        done, logs = 0, dict[str, Any]()
        for blocks in zip(*(run.batches.blocks(epoch) for run in self._runs), strict=True):
            block = tuple(np.stack(arrays, axis=1) for arrays in zip(*blocks, strict=True))  # (K, S, B, ...)
            before = logs
            state, logs = self._train(state, block)
            if before:  # the device is busy with the next block while the last one is reported
                self._report(epoch, done, before, on_progress)
            done += len(block[0])
        self._report(epoch, done, logs, on_progress)
        self._trainable, self._fixed, self._optimizer, _ = state
        return {name: np.asarray(values) for name, values in logs.items()}

    def evaluate(self, part: Part) -> dict[str, np.ndarray]:
        """Mean loss and accuracy of each run on a part, (S,)."""
        from erroran.training.batches import evaluation_batch_size, evaluation_blocks

        metrics, logs = self._metrics, dict[str, Any]()
        size = max(32, evaluation_batch_size(part.image_shape) // len(self._runs))
        for images, labels in evaluation_blocks(part, size):
            logs, (_, _, metrics) = self._test((self._trainable, self._fixed, metrics), (images[0], labels[0]))
        return {f"val_{name}": np.asarray(values) for name, values in logs.items()}

    def load(self, s: int) -> Prepared:
        """The s-th run, with its trained weights in the model."""
        for variables, values in (
            (self._model.trainable_variables, self._trainable),
            (self._model.non_trainable_variables, self._fixed),
        ):
            for variable, stacked in zip(variables, values, strict=True):
                variable.assign(stacked[s])
        return replace(self._runs[-1], spec=self._runs[s].spec)

    def _report(self, epoch: int, done: int, logs: dict[str, Any], on_progress: Callable[[Progress], None]) -> None:
        losses, per_epoch = np.asarray(logs["loss"]), self._runs[0].batches.steps_per_epoch
        for run, loss in zip(self._runs, losses.tolist(), strict=True):
            epochs, step = run.spec.recipe.epochs, (epoch - 1) * per_epoch + done
            on_progress(Progress(run.spec.id, run.spec.seed, step, epochs * per_epoch, epoch, epochs, loss))


def _stack(runs: Sequence[Sequence[Any]]) -> list[Any]:
    """The same variables of S runs, each as one array (S, ...)."""
    import jax

    return [jax.numpy.stack([variable.value for variable in same]) for same in zip(*runs, strict=True)]


def _copy(array: Any) -> Any:
    import jax

    return jax.numpy.array(array)
