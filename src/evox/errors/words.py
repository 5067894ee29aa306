"""Words: what an error says, whatever its own ``__str__`` does: it is the user's, and may raise or have no end.

Called wherever an error is told of, since an error that cannot be shown must not become another one on its way.
"""

from typing import Final

from evox.errors.masking import LONGEST

__all__ = ["named_words_of", "words_of"]

MOST: Final = 2 * LONGEST  # characters; whoever shows them cuts what is over LONGEST, and says so


def words_of(error: BaseException) -> str:
    """Return what an error says. Never raises; secrets are still in it."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001  it is the user's, and may raise whatever it likes
        return "it cannot be shown: its own __str__ fails"
    return str.__str__(said[:MOST])


def named_words_of(error: BaseException) -> str:
    """Return an error's type and what it says. Never raises; secrets are still in it."""
    return f"{type(error).__name__}: {words_of(error)}"
