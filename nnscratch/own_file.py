"""An optimizer from a file of one's own: my_opt.py:MyOpt."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from .errors import UsageError
from .optim import Optimizer


def names_a_file(text: str) -> bool:
    """Whether the text is a place in a file and not a name of the registry."""
    return ".py" in text or ":" in text


def load_optimizer(text: str) -> type[Optimizer]:
    """The class that FILE.py:CLASS names.

    Raises UsageError where there is no such file, it fails to import, or it has no such optimizer.
    """
    file, colon, class_name = text.rpartition(":")
    path = Path(file).expanduser()
    if not colon or path.suffix != ".py" or not class_name:
        raise UsageError(f"{text!r} names no class in a file", "write it like my_opt.py:MyOpt")
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "give the path of a file, seen from here")
    module = import_file(path)
    own = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    optimizers = [name for name, cls in own.items() if issubclass(cls, Optimizer)]
    optimizers = [name for name in optimizers if own[name].__module__ == module.__name__]
    hint = f"it has {', '.join(optimizers)}" if optimizers else "derive a class from nn.Elementwise"
    if class_name not in vars(module):
        raise UsageError(f"{class_name} is not in the file {path}", hint)
    found = own.get(class_name)
    if found is None or not issubclass(found, Optimizer):
        raise UsageError(f"{class_name} is no optimizer", hint)
    return found


def import_file(path: Path, name: str | None = None) -> ModuleType:
    """The file as a module of that name, by default one that no other module has."""
    resolved = path.resolve()
    digest = hashlib.sha256(str(resolved).encode()).hexdigest()[:8]
    name = name or f"{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported", "give a file of Python source")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(resolved.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the file may raise
        del sys.modules[name]
        raise UsageError(
            f"{path} fails to import: {place(error, resolved)}{type(error).__name__}: {error}",
            f"see that `python {path}` runs to its end",
        ) from None
    finally:
        sys.path.remove(str(resolved.parent))
    return module


def place(error: BaseException, path: Path) -> str:
    """The line of the file where the error came from."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: "
    found, trace = "", error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path:
            found = f"line {trace.tb_lineno}: "
        trace = trace.tb_next
    return found
