"""Keep the last loaded model for the next run in the same process, where a sweep asks for that.

>>> model_cache.begin()                      # said by a sweep's kernel; without it every load reads the weights
>>> first = models.load("bundled")
>>> again = models.load("bundled")           # the same weights in a fresh Model; metrics.json: model_reused true

The key is everything `models.load` takes, with the times and sizes of the files in folders it names. One model is
held at most: another load lets go of it first. A model comes out of here as `load` would have made it, without the
prefix its last user computed, and never if it was changed since: trained, or given an adapter. What bitsandbytes
repacks in 4-bit layers at the first answer stays repacked, which answers alike but spoils gradients; therefore nothing
that trains may run in a process that has begun this (`suite` gives every run of 05_qlora a process of its own).
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from helpers import runs, runtime


@dataclass(frozen=True)
class Kept:
    """A model as `load` returned it, what was asked for, and the state its weights were in."""

    key: tuple
    model: Any
    state: tuple


_shelf: list[Kept] = []
_begun: list[bool] = []


def begin() -> None:
    """Keep every model that is loaded from now on, one at a time, until `end`."""
    _begun[:] = [True]


def end() -> None:
    """Keep nothing any more, and let go of the model that was kept."""
    _begun.clear()
    _let_go()


def reusable(load: Callable) -> Callable:
    """Make `load` return the kept model where the same is asked for, once `begin` was called."""
    signature = inspect.signature(load)

    @functools.wraps(load)
    def loaded(*args, **kwargs):
        if not _begun:
            return load(*args, **kwargs)
        asked = signature.bind(*args, **kwargs)
        asked.apply_defaults()
        key = tuple((name, value, _files(value)) for name, value in asked.arguments.items())
        reused = bool(_shelf) and _shelf[0].key == key and _shelf[0].state == _state(_shelf[0].model)
        runs.note(model_reused=reused)
        if reused:
            return replace(_shelf[0].model)
        _let_go()
        model = load(*args, **kwargs)
        if model.backend == "transformers":
            _shelf.append(Kept(key, model, _state(model)))
        return replace(model)

    return loaded


def _let_go() -> None:
    _shelf.clear()
    runtime.give_back_memory()


def _files(value: Any) -> tuple:
    """Return name, size and time of change of the files in a folder; nothing for a value that names none."""
    if not isinstance(value, str | Path) or not str(value) or not Path(value).is_dir():
        return ()
    found = sorted(path for path in Path(value).iterdir() if path.is_file())
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in found)


def _state(model: Any) -> tuple:
    """Return what training changes: the number of parameters, and how often they were written in place."""
    versions = [parameter._version for parameter in model.model.parameters()]
    return id(model.model), len(versions), sum(versions)
