"""Extension of the reference: remarks in docstrings are text, and no headings.

`# ours` and `# Differs from the paper` mark a sentence, as they do in comments; to Markdown a line
that begins so would be a heading.
"""

import re
from typing import Any

from griffe import Extension, Object


class Remarks(Extension):
    """Takes the marks away; what they mark says what it is."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of a module, a class, a function or a field."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"^([ \t]*)# ", r"\1", obj.docstring.value, flags=re.MULTILINE
            )
