"""Result tables as plain text."""

from collections.abc import Sequence


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns, the first to the left and the others to the right, under a ruled header.

    Raises:
        ValueError: If a row does not have as many cells as the header.

    Example:
        >>> print(text_table(['protocol', 'mAP'], [['nd', '7.50']]))
        | protocol |  mAP |
        |----------|------|
        | nd       | 7.50 |
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f'every row must have {len(header)} cells as the header, got {list(row)}')
    widths = [max(map(len, column)) for column in zip(header, *rows)]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:]))]
        return f'| {" | ".join(padded)} |'

    rule = '|'.join('-' * (width + 2) for width in widths)
    return '\n'.join([line(header), f'|{rule}|', *map(line, rows)])
