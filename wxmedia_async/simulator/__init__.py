"""WeChat's temporary media service, for tests and demonstrations."""

from ._app import Simulator
from ._faults import Fault
from ._media import StoredMedia
from ._requests import SeenRequest

__all__ = ["Fault", "SeenRequest", "Simulator", "StoredMedia"]
