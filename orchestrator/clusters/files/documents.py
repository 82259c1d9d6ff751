"""Reading a YAML file of one or several documents: every key once, nothing but plain data."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from workloads.errors import Problem, several


class UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys and says nothing; here the second is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} stands here a second time", key_node.start_mark
                    )
                seen.add(key)
        return super().construct_mapping(node, deep)


def read_documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a file. Raises UserError where it cannot be read, is no YAML, or holds no mapping."""
    try:
        found = [item for item in yaml.load_all(path.read_text(), UniqueKeys) if item is not None]
    except (OSError, UnicodeDecodeError) as error:
        raise several([Problem(str(path), f"cannot be read: {error}")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "somewhere"
        raise several([Problem(where, f"no YAML: {getattr(error, 'problem', None) or error}")]) from None
    if not found:
        raise several([Problem(str(path), "holds no document")])
    if wrong := [n for n, item in enumerate(found) if not isinstance(item, dict)]:
        raise several([Problem(f"document {n + 1}", "is no mapping") for n in wrong])
    return found


def at(document: Any, *path: str | int) -> Any:
    """The value at a path; None where any step of it is missing: what is checked here may lack anything."""
    for step in path:
        if isinstance(document, dict) and isinstance(step, str):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            return None
    return document


def items(document: Any, *path: str | int) -> list[tuple[str, Any]]:
    """(key path, value) of everything in the mapping or list at `path`; nothing where there is none."""
    found, base = at(document, *path), key(*path)
    if isinstance(found, dict):
        return [(key(base, str(name)), value) for name, value in found.items()]
    return [(f"{base}[{n}]", value) for n, value in enumerate(found)] if isinstance(found, list) else []


def key(*path: str | int) -> str:
    """``spec.containers[0].image`` from its steps."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text and step else str(step)
    return text
