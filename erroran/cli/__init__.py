"""The command line; `erroran.cli.commands` is its table of contents."""

import os
import sys


def main() -> None:
    """Entry point of the ``erroran`` command."""
    try:
        from erroran.cli.app import app

        make_streams_safe()
        app()
    except KeyboardInterrupt:  # while Python still imports; later `guarded` answers
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)


def make_streams_safe() -> None:
    """Write ``?`` for what the streams cannot encode, and drop what is written to a closed stream."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the shell closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - stays open
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
