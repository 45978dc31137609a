"""WeChat's temporary media service, for tests and demonstrations."""

from typing import TYPE_CHECKING

from .._lazy import lazily

if TYPE_CHECKING:
    from ._app import Simulator
    from ._faults import Fault
    from ._media import StoredMedia
    from ._requests import SeenRequest

__all__ = ["Fault", "SeenRequest", "Simulator", "StoredMedia"]

_HOMES = {
    "_app": ["Simulator"],
    "_faults": ["Fault"],
    "_media": ["StoredMedia"],
    "_requests": ["SeenRequest"],
}

# A type checker is not to see it: it would believe in any name then.
if not TYPE_CHECKING:  # pragma: no branch
    __getattr__, __dir__ = lazily(__name__, _HOMES)
