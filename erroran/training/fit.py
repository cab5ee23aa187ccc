"""One run spec in, one trained run out, and predictions of stored models. The only place that calls ``fit``."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from erroran.data import Splits
from erroran.errors import ErroranError, TrainingError
from erroran.experiment.recipe import Recipe
from erroran.experiment.runspec import RunSpec
from erroran.operations.apply import resolve_steps


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        run_id: The run.
        seed: Its seed.
        step: Steps done.
        steps: Steps in all.
        epoch: The epoch under way, counted from 1.
        epochs: Epochs in all.
        loss: Mean training loss of the epoch so far; NaN before the first step.
    """

    run_id: str
    seed: int
    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float


@dataclass(frozen=True)
class TrainedRun:
    """What training gives.

    Attributes:
        probabilities_mine: float32 (n_mine, n_classes).
        probabilities_confirm: float32 (n_confirm, n_classes).
        history: Per epoch: ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``.
        model: The ``.keras`` file's bytes, without the optimizer's state.
        parameters: Number of the model's parameters.
        seconds: Wall-clock time.
    """

    probabilities_mine: np.ndarray
    probabilities_confirm: np.ndarray
    history: dict[str, list[float]]
    model: bytes
    parameters: int
    seconds: float


@dataclass(frozen=True)
class Latency:
    """How long predicting takes on this machine.

    Attributes:
        predict_ms: One image through ``model.predict``, median, milliseconds.
        call_ms: One image through ``model(image)``, which skips what ``predict`` sets up for batches.
        images_per_second: Through ``model.predict`` in batches of 500.
    """

    predict_ms: float
    call_ms: float
    images_per_second: float


def train(
    spec: RunSpec,
    splits: Splits,
    class_names: tuple[str, ...],
    on_progress: Callable[[Progress], None] = lambda _: None,
    *,
    source: str | None = None,
) -> TrainedRun:
    """Train one model and predict `mine` and `confirm` with it.

    Args:
        spec: What to train.
        splits: The images; uint8 (n, H, W, C) each.
        class_names: Name of each label, to resolve ``spec.augment``.
        on_progress: Called every few steps.
        source: Code of a model of the user's own.

    Raises:
        TrainingError: The loss or the predictions became NaN or infinite.
        BadInput: The model cannot be built for these images.
    """
    from erroran.training.backend import keras
    from erroran.training.batches import AugmentedBatches
    from erroran.training.models import build_model
    from erroran.training.models.augmentation import augmenting

    started = time.perf_counter()
    keras.backend.clear_session()
    keras.utils.set_random_seed(spec.seed)
    keras.config.set_dtype_policy(spec.precision)
    input_shape = splits.train.x.shape[1:]
    build = partial(build_model, spec.model, input_shape=input_shape, n_classes=len(class_names), source=source)
    bare = build()
    model = bare if spec.recipe.in_model is None else augmenting(bare, spec.recipe.in_model)
    batches = AugmentedBatches(
        splits.train.x,
        splits.train.y,
        splits.train.ids,
        resolve_steps(spec.augment, class_names),
        batch_size=spec.recipe.batch_size,
        seed=spec.seed,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(_learning_rate(spec.recipe, steps_per_epoch=len(batches))),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    with tempfile.TemporaryDirectory() as folder:
        best = Path(folder) / "best.weights.h5"
        history = model.fit(
            batches,
            epochs=spec.recipe.epochs,
            validation_data=(splits.mine.x, splits.mine.y),
            validation_batch_size=500,
            shuffle=False,  # the order of the samples is the generator's
            verbose=0,
            callbacks=[_progress_callback(spec, len(batches), on_progress), *_callbacks(spec.recipe, best)],
        ).history
        if best.exists():
            model.load_weights(best)
    mine, confirm = _predict(bare, splits.mine.x), _predict(bare, splits.confirm.x)
    # The last step can break the weights after the last loss was taken.
    if not (np.isfinite(history["loss"][-1]) and np.isfinite(mine).all() and np.isfinite(confirm).all()):
        raise TrainingError(
            f"Training seed {spec.seed} ended with a loss that is not a number.",
            fix="erroran baseline with a smaller --batch-size or --recipe standard",
        )
    return TrainedRun(
        probabilities_mine=mine,
        probabilities_confirm=confirm,
        history={name: [float(value) for value in values] for name, values in history.items()},
        model=_to_bytes(build(), bare.get_weights()),
        parameters=int(bare.count_params()),
        seconds=time.perf_counter() - started,
    )


def predict_with(model_file: Path, images: np.ndarray, *, source: str | None = None, name: str = "") -> np.ndarray:
    """Predict images with a stored model.

    Args:
        model_file: A run's ``model.keras``.
        images: uint8 (N, H, W, C), of the size it was trained on.
        source: Code of a model of the user's own, as the store keeps it.
        name: ``file.py:function`` of such a model.

    Returns:
        float32 (N, n_classes).

    Raises:
        ErroranError: The file is missing or damaged.
    """
    return _predict(_load(model_file, source, name), images)


def measure_latency(
    model_file: Path, images: np.ndarray, *, source: str | None = None, name: str = "", repeats: int = 30
) -> Latency:
    """Time a stored model on this machine, after warming it up.

    Args:
        model_file: A run's ``model.keras``.
        images: uint8 (N, H, W, C), to be predicted in batches of 500, and the first of them alone.
        source: As for `predict_with`.
        name: Likewise.
        repeats: Times that the single image is predicted, each way; their median counts.

    Raises:
        ErroranError: The file is missing or damaged.
    """
    model = _load(model_file, source, name)
    one = images[:1]

    def median_ms(call: Callable[[], object]) -> float:
        seconds = []
        for _ in range(repeats + 3):
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
        return 1000 * float(np.median(seconds[3:]))

    _predict(model, images)
    started = time.perf_counter()
    _predict(model, images)
    batch_seconds = time.perf_counter() - started
    return Latency(
        predict_ms=median_ms(lambda: model.predict(one, verbose=0)),
        call_ms=median_ms(lambda: np.asarray(model(one, training=False))),
        images_per_second=len(images) / batch_seconds,
    )


def _load(model_file: Path, source: str | None, name: str) -> Any:
    from erroran.training.backend import keras

    keras.backend.clear_session()
    try:
        if source is not None:  # registers the layers that a model of the user's own defines
            from erroran.training.models import own

            own.load(name.rpartition(":")[0], source)
        return keras.models.load_model(model_file, compile=False)
    except Exception as error:  # what a damaged zip, HDF5 or JSON raises has no common class
        raise ErroranError(
            f"The model {model_file} cannot be read: {str(error).splitlines()[0]}.",
            fix=f"erroran runs remove {model_file.parent.name}, then repeat `erroran baseline`",
        ) from error


def _learning_rate(recipe: Recipe, *, steps_per_epoch: int) -> Any:
    if recipe.schedule == "constant":
        return recipe.learning_rate
    from erroran.training.backend import keras

    steps = recipe.epochs * steps_per_epoch
    if recipe.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    warmup = max(1, round(0.2 * steps))
    down = keras.optimizers.schedules.PolynomialDecay(recipe.learning_rate, max(1, steps - warmup), 0.0)

    class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        """Linear up to the peak, then linear to zero (Smith & Topin 2018, arXiv 1708.07120)."""

        def __call__(self, step: Any) -> Any:
            step = keras.ops.cast(step, "float32")
            up = recipe.learning_rate * (step + 1) / warmup
            return keras.ops.where(step < warmup, up, down(step - warmup))

    return OneCycle()


def _callbacks(recipe: Recipe, best: Path) -> list[Any]:
    """Keras' own callbacks for what the recipe asks; the weights of the best epoch go to `best`."""
    from erroran.training.backend import keras

    wanted: list[Any] = []
    if recipe.reduce_on_plateau:
        wanted.append(keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=recipe.reduce_on_plateau))
    if recipe.best_weights:
        wanted.append(
            keras.callbacks.ModelCheckpoint(
                str(best), monitor="val_accuracy", save_best_only=True, save_weights_only=True
            )
        )
    if recipe.early_stopping:
        wanted.append(keras.callbacks.EarlyStopping("val_loss", patience=recipe.early_stopping))
    return wanted


def _progress_callback(spec: RunSpec, steps_per_epoch: int, report: Callable[[Progress], None]) -> Any:
    from erroran.training.backend import keras

    every = max(1, steps_per_epoch // 20)

    class Report(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            del logs
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            if batch % every == 0 or batch == steps_per_epoch - 1:
                report(
                    Progress(
                        run_id=spec.id,
                        seed=spec.seed,
                        step=self.epoch * steps_per_epoch + batch + 1,
                        steps=spec.recipe.epochs * steps_per_epoch,
                        epoch=self.epoch + 1,
                        epochs=spec.recipe.epochs,
                        loss=(logs or {}).get("loss", float("nan")),
                    )
                )

    return Report()


def _predict(model: Any, images: np.ndarray) -> np.ndarray:
    probabilities: np.ndarray = model.predict(images, batch_size=500, verbose=0)
    return probabilities.astype(np.float32)


def _to_bytes(bare: Any, weights: list[np.ndarray]) -> bytes:
    # A model that was never compiled: with Adam's two moments the file would be three times as large.
    bare.set_weights(weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        bare.save(path)
        return path.read_bytes()
