"""Tables and bars in a terminal, by Rich; everything else that is printed needs no Rich."""

from typing import Any

from rich.console import Console
from rich.text import Text

from draw.terminal import visible


class VisibleConsole(Console):
    """Console of Rich for our tables and bars; no text in them is markup."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text as Rich does, after `visible`."""
        return super().render_str(visible(text), **options)
