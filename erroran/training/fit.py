"""Train one run: a run spec in, a trained run out. The only place that calls ``fit``."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from erroran.data import Dataset, Part, Splits, validation_part
from erroran.data.change import change_train
from erroran.errors import TrainingError
from erroran.experiment.recipe import Recipe
from erroran.experiment.runspec import RunSpec
from erroran.operations.apply import resolve_steps
from erroran.training.predict import predict


@dataclass(frozen=True)
class Progress:
    """How far the training of a run has come.

    Attributes:
        run_id: The run's key.
        seed: Its seed.
        step: Finished steps.
        steps: All steps.
        epoch: The current epoch, counted from 1.
        epochs: All epochs.
        loss: Mean training loss of the epoch so far.
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
    """Result of a training.

    Attributes:
        probabilities_mine: float32 (n_mine, n_classes).
        probabilities_confirm: float32 (n_confirm, n_classes).
        history: One value for each epoch of ``loss``, ``accuracy`` (on the training images), ``val_loss`` and
            ``val_accuracy`` (on the validation images of `training_parts`).
        model: The ``.keras`` file's bytes, without the optimizer's state.
        parameters: Number of the model's parameters.
        seconds: Wall-clock time; of runs that were trained as one program, an equal part each.
    """

    probabilities_mine: np.ndarray
    probabilities_confirm: np.ndarray
    history: dict[str, list[float]]
    model: bytes
    parameters: int
    seconds: float


def training_parts(
    spec: RunSpec, splits: Splits, class_names: Sequence[str], added: Dataset | None
) -> tuple[Part, Part]:
    """Divide the images of a run: those that its weights are fitted to, and those it is validated on after each epoch.

    If the recipe chooses epochs, the validation images are a part of `train` that no change of the data alters, so that
    all arms choose by the same images. Otherwise they are `mine`, and the training does not depend on them.

    Args:
        spec: The run.
        splits: Of its dataset.
        class_names: Name of each label.
        added: The dataset ``spec.data.add``.

    Raises:
        BadInput: The change of the data does not fit the dataset.
        DatasetError: There are too few images for a validation part.
    """
    fitted, validation = validation_part(splits.train) if spec.recipe.chooses_epochs else (splits.train, splits.mine)
    if spec.data:
        held_out_ids = np.concatenate([validation.ids, splits.mine.ids, splits.confirm.ids])
        fitted = change_train(fitted, spec.data, class_names, added=added, held_out_ids=held_out_ids)
    return fitted, validation


@dataclass(frozen=True)
class Prepared:
    """A run before its first step.

    Attributes:
        spec: The run.
        bare: The model that is stored.
        model: The model that is trained, compiled: `bare`, perhaps behind augmenting layers. It shares its weights.
        batches: The `erroran.training.batches.AugmentedBatches` of the run.
        build: Makes an uncompiled copy of `bare` with other weights.
    """

    spec: RunSpec
    bare: Any
    model: Any
    batches: Any
    build: Callable[[], Any]


def prepare(spec: RunSpec, fitted: Part, class_names: Sequence[str], source: str | None) -> Prepared:
    """Seed Keras, build and compile the model of a run, and make its batches; arguments and errors as in `train`."""
    from erroran.training.backend import keras
    from erroran.training.batches import AugmentedBatches
    from erroran.training.models import build_model
    from erroran.training.models.augmentation import augmenting

    keras.backend.clear_session()
    keras.utils.set_random_seed(spec.seed)
    keras.config.set_dtype_policy(spec.precision)
    shape = fitted.image_shape
    build = partial(build_model, spec.model, shape, len(class_names), source=source)
    bare = build()
    model = bare if spec.recipe.in_model is None else augmenting(bare, spec.recipe.in_model, input_shape=shape)
    batches = AugmentedBatches(
        fitted,
        resolve_steps(spec.augment, class_names),
        class_weights=[spec.class_weights.get(name, 1.0) for name in class_names],
        batch_size=spec.recipe.batch_size,
        seed=spec.seed,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(_learning_rate(spec.recipe, steps_per_epoch=batches.steps_per_epoch)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # Keras has no several steps at once on PyTorch.
        steps_per_execution=1 if keras.backend.backend() == "torch" else batches.steps_per_block,
    )
    return Prepared(spec, bare, model, batches, build)


def train(
    spec: RunSpec,
    splits: Splits,
    class_names: tuple[str, ...],
    on_progress: Callable[[Progress], None] = lambda _: None,
    *,
    source: str | None = None,
    added: Dataset | None = None,
) -> TrainedRun:
    """Train one model and predict `mine` and `confirm` with it.

    Args:
        spec: What to train.
        splits: The images; uint8 (n, H, W, C) each.
        class_names: Name of each label, to resolve the classes that the spec names.
        on_progress: Called every few steps.
        source: Code of a user's own model.
        added: The dataset ``spec.data.add``, whose training images are added.

    Raises:
        TrainingError: The loss or the predictions became NaN or infinite.
        BadInput: The model cannot be built for these images, or its code calls ``sys.exit``.
    """
    from erroran.training.batches import evaluation_data
    from erroran.training.models import own

    started = time.perf_counter()
    with own.guarded(spec.model), tempfile.TemporaryDirectory() as folder:
        fitted, validation = training_parts(spec, splits, class_names, added)
        prepared = prepare(spec, fitted, class_names, source)
        best = Path(folder) / "best.weights.h5"
        data, epoch_counter = prepared.batches.for_fit()
        history = prepared.model.fit(
            data,
            epochs=spec.recipe.epochs,
            validation_data=evaluation_data(validation),
            shuffle=False,  # the order of the samples is that of `batches`
            verbose=0,
            callbacks=[
                epoch_counter,
                _progress_callback(spec, prepared.batches.steps_per_epoch, on_progress),
                *_callbacks(spec.recipe, best),
            ],
        ).history
        if best.exists():
            prepared.model.load_weights(best)
        run = finish(prepared, history, splits)
        return replace(run, seconds=time.perf_counter() - started)


def finish(prepared: Prepared, history: Mapping[str, Sequence[float]], splits: Splits) -> TrainedRun:
    """Predict with a trained model, check it, and make its file; the time is not set. Errors as in `train`."""
    spec, bare = prepared.spec, prepared.bare
    mine, confirm = predict(bare, splits.mine.x), predict(bare, splits.confirm.x)
    # The last step can break the weights after the last loss was taken.
    if not (np.isfinite(history["loss"][-1]) and np.isfinite(mine).all() and np.isfinite(confirm).all()):
        raise TrainingError(
            f"Training seed {spec.seed} ended with a loss that is not a number.",
            fix="erroran baseline with a smaller --batch-size or --recipe standard",
        )
    # Stored is a model that was never compiled: with Adam's two moments the file would be three times as large.
    stored = prepared.build()
    stored.set_weights(bare.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        stored.save(file)
        content = file.read_bytes()
    return TrainedRun(
        probabilities_mine=mine,
        probabilities_confirm=confirm,
        history={name: [float(value) for value in values] for name, values in history.items()},
        model=content,
        parameters=int(bare.count_params()),
        seconds=0.0,
    )


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
    """Keras' callbacks for the recipe; the weights of the best epoch are written to `best`."""
    from erroran.training.backend import keras

    known, wanted = keras.callbacks, []
    if recipe.reduce_on_plateau:
        wanted.append(known.ReduceLROnPlateau("val_loss", factor=0.5, patience=recipe.reduce_on_plateau))
    if recipe.best_weights:
        wanted.append(known.ModelCheckpoint(best, "val_accuracy", save_best_only=True, save_weights_only=True))
    if recipe.early_stopping:
        wanted.append(known.EarlyStopping("val_loss", patience=recipe.early_stopping))
    return wanted


def _progress_callback(spec: RunSpec, steps_per_epoch: int, on_progress: Callable[[Progress], None]) -> Any:
    from erroran.training.backend import keras

    every, epochs, epoch, told = max(1, steps_per_epoch // 20), spec.recipe.epochs, 0, 0

    def start(number: int, _: object) -> None:
        nonlocal epoch, told
        epoch, told = number, 0

    def report(last: int, logs: Mapping[str, float]) -> None:
        nonlocal told
        done = min(last + 1, steps_per_epoch)  # Keras counts a last, shorter execution as a whole one
        if done >= told + every or done == steps_per_epoch:
            told = done
            step, steps = epoch * steps_per_epoch + done, epochs * steps_per_epoch
            on_progress(Progress(spec.id, spec.seed, step, steps, epoch + 1, epochs, logs["loss"]))

    return keras.callbacks.LambdaCallback(on_epoch_begin=start, on_train_batch_end=report)
