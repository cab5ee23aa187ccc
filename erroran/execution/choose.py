"""The executor that ``--executor`` and ``--jobs`` ask for."""

from erroran.errors import BadInput
from erroran.execution.local import InProcess, Local
from erroran.execution.task import Executor


def choose_executor(name: str = "local", jobs: int | None = None) -> Executor:
    """Make an executor.

    Args:
        name: As in ``--executor``, such as ``dask=127.0.0.1:8786`` or ``vectorized=32``.
        jobs: Worker processes on this machine; None for as many as fit.

    Raises:
        BadInput: There is no such executor, or `jobs` is given for one that is not on this machine.
        ErroranError: Its package is not installed, or it cannot be reached.
    """
    kind, _, address = name.partition("=")
    if kind == "local" and not address:
        return InProcess() if jobs == 1 else Local(jobs)
    if jobs is not None:
        raise BadInput(f"--jobs is for this machine, and --executor {name} was given.", fix="leave out --jobs")
    if kind == "dask" and address:
        from erroran.execution.dask import DaskCluster

        return DaskCluster(address)
    if kind == "ray":
        from erroran.execution.ray import RayCluster

        return RayCluster(address or None)
    if kind == "vectorized" and (not address or (address.isdecimal() and int(address))):
        from erroran.execution.vectorized import SEEDS, Vectorized

        return Vectorized(int(address or SEEDS))
    raise BadInput(
        f"There is no executor `{name}`.", fix="--executor local, dask=HOST:PORT, ray, ray=HOST:PORT or vectorized"
    )
