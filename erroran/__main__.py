"""``python -m erroran``."""

from erroran.cli import main

main()
