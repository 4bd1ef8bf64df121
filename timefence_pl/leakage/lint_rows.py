"""What is known of the rows between two steps of a plan.

Gives a value. Reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from timefence_pl.leakage.lint_expressions import Order
from timefence_pl.leakage.lint_stamps import Stamp

__all__ = ["NO_ORDER", "Rows"]

NO_ORDER = Order(0)


@dataclass(frozen=True)
class Rows:
    """The rows that a step gives.

    Attributes:
        stamps: The columns that are times, as far as they can be traced.
        order: How the rows stand in time.
        other: Whether they come from elsewhere than the source.
        lasting: Whether each is known from its group's first row on, and never changes.
    """

    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    order: Order = NO_ORDER
    other: bool = False
    lasting: bool = False

    @property
    def exact(self) -> frozenset[str]:
        """The columns that hold the rows' own event time."""
        return frozenset(n for n, s in self.stamps.items() if s.exact)

    def renamed(self, names: Mapping[str, str]) -> Rows:
        """The same rows under new column names."""
        stamps = {names.get(n, n): s for n, s in self.stamps.items()}
        within = frozenset(names.get(n, n) for n in self.order.within)
        return replace(self, stamps=stamps, order=replace(self.order, within=within))
