"""The configuration of a MONAI bundle, understood without running it.

MONAI builds a bundle by calling whatever its `_target_` names and evaluating whatever follows a `$`. Here only networks of MONAI and torch are built, and only
literals, references (`@`) and simple arithmetic are worked out, by a walk over the expression's syntax tree. Everything else is refused, with
its field, so that a person can judge it. Only what is asked for is looked at: a bundle's other lines may say what they like.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from napari_medseg.errors import MissingFileError, SegmenterError, UnreadableFileError

LARGEST_FILE = 4 << 20
LONGEST = 10_000
MOST_STEPS = 100_000
DEEPEST = 40
NAMESPACES = ("monai.networks.nets", "monai.networks.blocks", "monai.networks.layers", "torch.nn")
FETCHING = re.compile(r"pretrain|url|weights|path|cache|download|progress")
REFERENCE = re.compile(r"@([A-Za-z_]\w*(?:(?:::|#)\w+)*)")

SUMS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}


class RefusedError(SegmenterError):
    """A line of a bundle that would run code; `reason` says which and why, as a clause."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"is refused: {reason}", todo="Agree to its code if you trust whoever made it")

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        """Keep the reason across processes."""
        return RefusedError, (self.reason,)


def read_config(folder: Path, stem: str) -> dict[str, Any]:
    """A configuration file of a bundle.

    Parameters
    ----------
    folder : Path
        The bundle.
    stem : str
        "inference" or "metadata".

    Raises
    ------
    MissingFileError, UnreadableFileError
        When there is none, or it is no JSON or YAML of named fields.
    """
    for suffix in (".json", ".yaml", ".yml"):
        file = folder / "configs" / f"{stem}{suffix}"
        if file.is_file():
            return _parsed(file)
    raise MissingFileError(f"holds no configs/{stem}.json", where=folder, todo="Choose the folder of a MONAI bundle, the one with configs and models in it")


class BundleConfig:
    """Fields of a configuration, worked out when they are asked for.

    Parameters
    ----------
    content : dict
        From `read_config`.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content
        self._steps = 0
        self._open: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def raw(self, name: str) -> Any:
        """A field as it stands in the file; None where it is not."""
        return self._content.get(name)

    def value(self, item: Any, field: str) -> Any:
        """Literals, references and arithmetic worked out.

        Raises
        ------
        RefusedError
            When it would take code to do so; names the field.
        """
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise RefusedError(f"`{field}` grows beyond measure")
        if isinstance(item, dict):
            if "_target_" in item:
                raise RefusedError(f"`{field}` calls {item['_target_']} for a value")
            return {key: self.value(inner, f"{field}.{key}") for key, inner in item.items()}
        if isinstance(item, list):
            return [self.value(inner, f"{field}[{place}]") for place, inner in enumerate(item)]
        if isinstance(item, str) and item.startswith("$"):
            return self._expression(item[1:], field)
        if isinstance(item, str) and item.startswith("@"):
            return self._followed(*self.pointed(item, field))
        if isinstance(item, str) and item.startswith("%"):
            raise RefusedError(f"`{field}` copies text from elsewhere ({item[:60]})")
        return item

    def pointed(self, reference: str, field: str) -> tuple[Any, str]:
        """What a reference (`@name::key::0`) points to, and its field's name; follows references to references.

        Raises
        ------
        RefusedError
            When it points nowhere, to what is not there, or to itself.
        """
        for _ in range(DEEPEST):
            found = REFERENCE.fullmatch(reference)
            if found is None:
                raise RefusedError(f"`{field}` points nowhere ({reference[:60]})")
            item: Any = self._content
            keys = re.split(r"::|#", found.group(1))
            for key in keys:
                try:
                    item = item[int(key) if isinstance(item, list) else key]
                except (KeyError, IndexError, ValueError, TypeError):
                    raise RefusedError(f"`{field}` points to `{'.'.join(keys)}`, which is not there") from None
            if not (isinstance(item, str) and item.startswith("@")):
                return item, ".".join(keys)
            reference, field = item, ".".join(keys)
        raise RefusedError(f"`{field}` points to itself")

    def network(self, item: Any, field: str) -> Any:
        """A network (torch module) from its `_target_`, if that is one of MONAI's or torch's own.

        Raises
        ------
        RefusedError
            When it is anything else, or an argument needs code or would fetch something.
        SegmenterError
            When the class refuses its arguments.
        """
        if isinstance(item, str) and item.startswith("@"):
            item, field = self.pointed(item, field)
        if not isinstance(item, dict) or not isinstance(item.get("_target_"), str):
            told = item if isinstance(item, str) else type(item).__name__
            raise RefusedError(f"`{field}` is no network but {str(told)[:80]}")
        kind = _network_class(item["_target_"], field)
        arguments = {key: self._argument(inner, f"{field}.{key}") for key, inner in item.items() if not (key.startswith("_") and key.endswith("_"))}
        for key, given in arguments.items():
            if FETCHING.search(key) and given:
                raise RefusedError(f"`{field}.{key}` would fetch weights from elsewhere")
        try:
            return kind(**arguments)
        except Exception as error:  # whatever a class says of arguments it cannot take
            told = " ".join(str(error).split())[:200]
            raise SegmenterError(f"`{field}` cannot be built ({told})", where=item["_target_"], todo="Check the arguments in its configuration") from error

    def _followed(self, item: Any, field: str) -> Any:
        if field in self._open or len(self._open) > DEEPEST:
            raise RefusedError(f"`{field}` goes on without end")
        self._open.append(field)
        try:
            return self.value(item, field)
        finally:
            self._open.pop()

    def _argument(self, item: Any, field: str) -> Any:
        pointed = self.pointed(item, field)[0] if isinstance(item, str) and item.startswith("@") else item
        if isinstance(pointed, dict) and "_target_" in pointed:
            if field in self._open or len(self._open) > DEEPEST:
                raise RefusedError(f"`{field}` holds itself")
            self._open.append(field)
            try:
                return self.network(item, field)
            finally:
                self._open.pop()
        return self.value(item, field)

    def _expression(self, text: str, field: str) -> Any:
        names: dict[str, str] = {}

        def named(found: re.Match[str]) -> str:
            names[f"reference_{len(names)}"] = found.group(0)
            return f"reference_{len(names) - 1}"

        try:
            tree = ast.parse(REFERENCE.sub(named, text).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise RefusedError(f"`{field}` runs Python (${text[:60]})") from None
        try:
            return self._worked_out(tree, names, field, text)
        except (ArithmeticError, TypeError, RecursionError):
            raise RefusedError(f"`{field}` cannot be worked out (${text[:60]})") from None

    def _worked_out(self, node: ast.expr, names: dict[str, str], field: str, text: str) -> Any:
        def inner(child: ast.expr) -> Any:
            return self._worked_out(child, names, field, text)

        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, bool, type(None))):
            return node.value
        if isinstance(node, ast.Name) and node.id in names:
            return self._followed(*self.pointed(names[node.id], field))
        if isinstance(node, ast.List):
            return [inner(child) for child in node.elts]
        if isinstance(node, ast.Tuple):
            return tuple(inner(child) for child in node.elts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            number = _number(inner(node.operand))
            return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, ast.BinOp) and type(node.op) in SUMS:
            left, right = inner(node.left), inner(node.right)
            joined = isinstance(node.op, ast.Add) and type(left) is type(right) and isinstance(left, (str, list, tuple))
            if joined and len(left) + len(right) > LONGEST:
                raise RefusedError(f"`{field}` grows beyond measure")
            return SUMS[type(node.op)](left, right) if joined else _number(SUMS[type(node.op)](_number(left), _number(right)))
        raise RefusedError(f"`{field}` runs Python (${text[:60]})")


def _number(value: Any) -> Any:
    if not isinstance(value, (int, float)) or abs(value) > 1e15:
        raise TypeError
    return value


def _network_class(target: str, field: str) -> Any:
    """The class a `_target_` names, when it is a network of MONAI or torch."""
    from torch import nn

    refused = RefusedError(f"`{field}._target_` is {target[:80]}, which is no network of MONAI or torch")
    module, _, name = target.rpartition(".")
    if not re.fullmatch(r"\w+(\.\w+)*", target) or not (module == "" or any(module == n or module.startswith(f"{n}.") for n in NAMESPACES)):
        raise refused
    found: Any = None
    try:
        found = getattr(import_module(module or NAMESPACES[0]), name, None)
    except ImportError:
        raise refused from None
    if not isinstance(found, type) or not issubclass(found, nn.Module) or not found.__module__.startswith(("monai.networks.", "torch.nn.modules.")):
        raise refused
    return found


def _parsed(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ValueError("too long")  # noqa: TRY301 - one place says what is wrong with the file
        text = file.read_text(encoding="utf-8")
        content = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UnreadableFileError(f"cannot be read ({' '.join(str(error).split())[:200]})", where=file, todo="Get the bundle again") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UnreadableFileError("holds no named fields", where=file, todo="Get the bundle again")
    return content
