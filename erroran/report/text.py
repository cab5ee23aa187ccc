"""Plain text for terminals and reports: numbers with their nouns, columns."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """Number and noun: ``1 run``, ``3 runs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows of equal length as left-aligned columns, two spaces apart; nothing is cut or wrapped."""
    from rich.cells import cell_len  # counts a Chinese character as two columns, as terminals do

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return ["  ".join(cells).rstrip() for cells in padded]
