"""The one import of pjsua2; `pj.pyi` gives the names we use their types."""

from pjsua2 import _pjsua2
from pjsua2.pjsua2 import *  # noqa: F403

LIBRARY_PATH: str = _pjsua2.__file__
"""The extension module itself: it exports PJSIP's C API."""
