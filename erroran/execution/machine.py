"""The cores, the free memory and the GPU of this machine, as far as the system tells."""

import os
from pathlib import Path


def usable_cores() -> tuple[int, ...]:
    """The cores that this process may use; where the system does not tell, all."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def count_cores() -> int:
    """How many cores this process may keep busy: `usable_cores`, or less by the limit of its container."""
    from joblib import cpu_count

    return min(int(cpu_count()), len(usable_cores()))


def thread_settings(threads: int) -> dict[str, str]:
    """Environment variables that TensorFlow, PyTorch and BLAS read when they are imported, for so many threads."""
    return {
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": str(threads),
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # several processes may share a GPU
    }


def has_gpu() -> bool:
    """Whether there is an Nvidia GPU, and the environment does not hide it."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "all") not in {"", "-1"}
    return shown and any(Path("/proc/driver/nvidia/gpus").glob("*"))


def free_memory() -> int | None:
    """Bytes that processes can still take without swapping, by system and container; None if the system does not tell.

    Only Linux tells: ``MemAvailable``, and the limit of the control group.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current"))
        # The pages of files are given back when memory is short.
        files = (group / "memory.stat").read_text(encoding="ascii").split()
        return min(free, limit - used + int(files[files.index("file") + 1]))
    except (OSError, ValueError):  # no control group of its own, or no limit: "max"
        return free
