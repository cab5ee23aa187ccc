"""The time, command, versions, commit and machine that artifacts record."""

import os
import platform
import shlex
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGES = ("erroran", "jax", "keras", "numpy", "opencv-python", "scikit-learn", "scipy", "tensorflow", "torch")
_PROCESSOR_FEATURES = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")


def now() -> str:
    """The time in UTC, ISO 8601 to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def command_line() -> str:
    """The running command, quoted for a shell."""
    program = Path(sys.argv[0]).name.replace("__main__.py", "erroran")
    return shlex.join([program, *sys.argv[1:]])


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result can depend on; absent ones are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


@cache
def commit() -> str | None:
    """The commit of the running erroran checkout, with ``+`` if files were changed since; None without a checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    commands = (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "--", "erroran"])
    try:
        head, changed = (
            subprocess.run(["git", "-C", root, *command], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603, S607
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def machine() -> dict[str, str]:
    """The hardware on which bit-identical results depend, beside the software.

    Returns:
        ``platform``; ``cpus``; ``processor``: its kind and the features that affect rounding; and, if TensorFlow is
        loaded, ``device`` (a GPU's name or ``cpu``) and ``threads`` of one operation; for runs on JAX ``device`` alone.
    """
    found = {
        "platform": platform.platform(),
        "cpus": str(os.cpu_count()),
        "processor": " ".join([platform.machine(), *processor_features()]),
    }
    keras, tensorflow, jax = (sys.modules.get(name) for name in ("keras", "tensorflow", "jax"))
    if jax is not None and keras is not None and keras.backend.backend() == "jax":
        found["device"] = ", ".join(str(device.device_kind) for device in jax.devices())
    elif tensorflow is not None:
        gpus = tensorflow.config.get_visible_devices("GPU")
        details = [tensorflow.config.experimental.get_device_details(gpu) for gpu in gpus]
        found["device"] = ", ".join(str(detail.get("device_name", "GPU")) for detail in details) or "cpu"
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        found["threads"] = str(
            tensorflow.config.threading.get_intra_op_parallelism_threads()
            or os.environ.get("TF_NUM_INTRAOP_THREADS")  # see erroran.execution.local
            or available
        )
    return found


def made_by() -> dict[str, object]:
    """Command, versions, commit and machine for the JSON of a report."""
    return {"command": command_line(), "versions": versions(), "commit": commit(), "machine": machine()}


def processor_features() -> tuple[str, ...]:
    """The features of this processor that decide how it rounds and which arithmetic is fast; Linux only, else none."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\nflags")[2].partition("\n")[0].split()
    except OSError:
        flags = []
    return tuple(feature for feature in _PROCESSOR_FEATURES if feature in flags)
