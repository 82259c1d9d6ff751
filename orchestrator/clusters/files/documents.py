"""Reading a YAML file of one or several documents, each key once, plain data only; and JSON schemas for them."""

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from workloads.errors import Problem, nearest, several


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
        documents = [item for item in yaml.load_all(path.read_text(), UniqueKeys) if item is not None]
    except (OSError, UnicodeDecodeError) as error:
        raise several([Problem(str(path), f"cannot be read: {error}")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "somewhere"
        raise several([Problem(where, f"no YAML: {getattr(error, 'problem', None) or error}")]) from None
    except (
        ValueError,
        TypeError,
        OverflowError,
        RecursionError,
        AttributeError,
    ) as error:  # dates, numbers and depths that none can be
        raise several([Problem(str(path), f"no YAML: {type(error).__name__}: {error}")]) from None
    if not documents:
        raise several([Problem(str(path), "holds no document")])
    if odd := [n for n, item in enumerate(documents) if not isinstance(item, dict)]:
        raise several([Problem(f"document {n + 1}", "is no mapping") for n in odd])
    return documents


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
    inner, base = at(document, *path), key(*path)
    if isinstance(inner, dict):
        return [(key(base, str(name)), value) for name, value in inner.items()]
    return [(f"{base}[{n}]", value) for n, value in enumerate(inner)] if isinstance(inner, list) else []


def key(*path: str | int) -> str:
    """``spec.containers[0].image`` from its steps."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text and step else str(step)
    return text


# what a JSON schema says as a type, in words
PLAIN = {"boolean": "true or false", "integer": "a whole number", "object": "a mapping", "array": "a list"}


def schema_problems(validator: Any, document: Any, source: str = "") -> Iterator[Problem]:
    """A JSON schema's errors with key paths, an unknown key with the nearest known one; of alternatives, the errors of
    the one that came nearest. source: ends every message, where it is not plain whose schema it is."""
    from jsonschema.exceptions import best_match

    for error in sorted(validator.iter_errors(document), key=lambda e: list(map(str, e.absolute_path))):
        inner = best_match([error]) if error.context else error
        where = key(*inner.absolute_path)
        if inner.validator == "additionalProperties" and isinstance(inner.instance, dict):
            known = inner.schema.get("properties", {})
            for name in sorted(map(str, inner.instance.keys() - known.keys())):
                yield Problem(key(where, name), f"no such key{source}; {nearest(name, known)}")
        elif inner.validator == "type":
            wanted = inner.validator_value
            names = [wanted] if isinstance(wanted, str) else wanted
            words = " or ".join(PLAIN.get(t, f"a {t}") for t in names if t != "null")
            yield Problem(where or "the document", f"found {inner.instance!r}, expected {words}{source}")
        else:
            yield Problem(where or "the document", f"{inner.message}{source}")
