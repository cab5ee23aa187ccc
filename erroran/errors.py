"""What can go wrong, as one tree.

::

    ErroranError                 exit 1   the work could not be done
    ├── TrainingError            exit 1   a run broke off; finished runs are kept
    ├── Unavailable              exit 1   something outside (network, disk) is missing
    └── BadInput                 exit 2   the command, a file or a spec is wrong
        ├── DatasetError         exit 2   images or labels that cannot be used
        ├── SpecError            exit 2   a hypothesis file that cannot be used
        └── NotFound             exit 2   no such run, group, spec or class

The library raises these; only ``cli`` turns them into text. Each carries a ``fix``: the command or the
edit that gets the user going again.
"""


class ErroranError(Exception):
    """Base of every error that erroran raises on purpose.

    Args:
        message: One sentence: what is wrong, and where.
        fix: The command or edit that fixes it.
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not survive a process boundary by default.
        return (_rebuild, (type(self), self.message, self.fix))


class TrainingError(ErroranError):
    """A training run broke off."""


class Unavailable(ErroranError):
    """A resource outside the program (network, disk space) is missing."""


class BadInput(ErroranError):
    """The command line, a file or a spec is wrong."""

    exit_code = 2


class DatasetError(BadInput):
    """Images or labels that cannot be used."""


class SpecError(BadInput):
    """A hypothesis spec that cannot be used."""


class NotFound(BadInput):
    """No such run, group, spec or class."""


def _rebuild(kind: type[ErroranError], message: str, fix: str) -> ErroranError:
    return kind(message, fix=fix)
