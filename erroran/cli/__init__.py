"""The command line; `erroran.cli.commands` is its table of contents."""

import sys


def main() -> None:
    """Entry point of the ``erroran`` command."""
    try:
        from erroran.cli.commands import app
        from erroran.cli.console import make_streams_safe

        make_streams_safe()
        app()
    except KeyboardInterrupt:  # while Python still imports; later `guarded` answers
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
