"""Text within the width of a terminal: lines broken between words, and the widths of a table's columns.

Takes styled text and cells, gives what fits. Prints nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["broken", "column_widths"]

#: The spaces of a line and its mark, as in ``"  OK    "`` or ``"error: "``: what the line goes on beside.
_MARK: Final = re.compile(r"\s*(?:\S+(?:\s{2,}|:\s))?")
#: Lines to be typed or pasted, which stay whole.
_TYPED: Final = ("timefence-pl ", "cd ", "tf.", "pip ")
#: A path, or a word longer than any id, is folded to so many letters where nothing else helps; ids are to be copied.
_NARROWEST: Final = 16
_LONGEST_ID: Final = 40
#: Between two columns.
_GAP: Final = 2


def broken(text: Text, console: Console) -> list[Text]:
    """A line as the lines that show it: broken between words, and set in; words stay whole, since they may be copied."""
    from rich.cells import cell_len  # noqa: PLC0415 - rich costs as much as all of click
    from rich.text import Text  # noqa: PLC0415

    room = console.width
    if not console.is_terminal or text.cell_len <= room or text.plain.lstrip().startswith(_TYPED):
        return [text]
    indent = len(match[0]) if (match := _MARK.match(text.plain)) else 0
    if indent > room // 3:
        indent = min(len(text.plain) - len(text.plain.lstrip()), room // 3)
    head, body = text[:indent], text[indent:]
    cuts, used = [], 0
    for word in re.finditer(r"\S+\s*", body.plain):
        if used and used + cell_len(word[0].rstrip()) > room - indent:
            cuts.append(word.start())
            used = 0
        used += cell_len(word[0])
    rows = [(Text(" " * indent) if number else head).append_text(row) for number, row in enumerate(body.divide(cuts))]
    for row in rows[:-1]:
        row.rstrip()
    return rows


def column_widths(columns: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """How wide each column is to be, the widest narrowed first; None where they do not fit.

    Columns are broken between words; where that is not enough, paths and very long words are folded as well.

    Args:
        columns: The head and cells of each.
        room: The terminal's width.
    """
    from rich.cells import cell_len  # noqa: PLC0415 - rich costs as much as all of click

    words = [[w for cell in column for w in cell.split()] for column in columns]
    broken_up = [max((cell_len(w) for w in of), default=0) for of in words]
    whole = [[w for w in of if "/" not in w and cell_len(w) <= _LONGEST_ID] for of in words]
    folded = [max([min(b, _NARROWEST), *(cell_len(w) for w in of)]) for b, of in zip(broken_up, whole, strict=True)]
    for floors in (broken_up, folded):
        widths = [max((cell_len(cell) for cell in column), default=0) for column in columns]
        while sum(widths) + _GAP * len(widths) > room:
            widest = max(range(len(widths)), key=lambda n, w=widths, f=floors: (w[n] > f[n], w[n]))  # type: ignore[misc]
            if widths[widest] <= floors[widest]:
                break
            widths[widest] -= 1
        else:
            return widths
    return None
