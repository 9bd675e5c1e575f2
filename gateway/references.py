"""Functions of the user's own, named in the configuration: found and imported in one way."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from gateway.errors import BadReference


def load_function(reference: str, base_dir: Path) -> Callable[..., Any]:
    """Load `package.module:function` or `path/to/file.py:function`.

    Args:
        reference: as the configuration has it.
        base_dir: the config file's folder; paths are relative to it and modules are looked for
            there too, after everything that is installed.

    Raises:
        BadReference: nothing there, not callable, or the import itself failed.
    """
    where, _, name = reference.rpartition(":")
    if not where or not name.isidentifier():
        raise BadReference(reference, "write package.module:function or path/to/file.py:function")
    if str(base_dir) not in sys.path:
        sys.path.append(str(base_dir))
    module = _import(reference, where, base_dir)
    function = getattr(module, name, None)
    if function is None:
        raise BadReference(reference, f"there is no {name!r} in {module.__file__}")
    if not callable(function):
        raise BadReference(reference, f"{name!r} is a {type(function).__name__}, not a function")
    found: Callable[..., Any] = function
    return found


def _import(reference: str, where: str, base_dir: Path) -> ModuleType:
    try:
        if not where.endswith(".py"):
            return importlib.import_module(where)
        return _import_file((base_dir / Path(where).expanduser()).resolve())
    except ModuleNotFoundError as exc:
        raise BadReference(reference, f"{exc} (looked in {base_dir} too)") from exc
    except FileNotFoundError as exc:
        raise BadReference(reference, f"no such file: {exc.filename}") from exc
    except (Exception, SystemExit) as exc:  # border: anything may be in user code
        raise BadReference(reference, f"import failed: {type(exc).__name__}: {exc}") from exc


def _import_file(path: Path) -> ModuleType:
    """Import a file once, however many of its functions are used; anew when it has changed."""
    digest = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()[:8]
    name = f"gateway_tool_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ImportError(f"cannot import {path}")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses and pydantic look the module up while it runs
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
