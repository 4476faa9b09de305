"""One kind of delay that was measured some times."""

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Moment:
    """One kind of delay: its title, and every try in milliseconds."""

    name: str
    title: str
    tries: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the tries."""
        return median(self.tries)

    @property
    def worst(self) -> float:
        """The longest of the tries."""
        return max(self.tries)
