"""``images.csv``: a table in a user's folder that says of every image which class, split and part it is of.

Columns: path and label; split, group and mask may be left out. A path is relative to the folder, its parts divided by
"/". A split is train, test, val or validation, or empty in all rows: then a seeded half of every class trains. Images
of one group, such as several photographs of one part, never lie on both sides of a split. A mask is an image file, too;
it is read where its image tests.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workloads.data.reading.account import FolderRules, few_of
from workloads.data.reading.folder import Listed, class_name_problem
from workloads.errors import UserError, nearest

MANIFEST = "images.csv"
NEEDED = ("path", "label")
COLUMNS = (*NEEDED, "split", "group", "mask")
SPLIT_NAMES = {"": "", "train": "train", "test": "test", "val": "val", "validation": "val"}


@dataclass(frozen=True)
class Manifest:
    """items: as the rows have them, the files not looked at yet. problems: what is wrong with the table."""

    items: tuple[Listed, ...]
    problems: tuple[UserError, ...]


def read_manifest(root: Path, rules: FolderRules) -> Manifest:
    """The table in a resolved folder. Of a table without the columns it needs, or that is no UTF-8, a problem alone."""
    file = root / MANIFEST
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        return Manifest((), (UserError(f"the table is no UTF-8: {error}", str(file), fix="save it as CSV UTF-8"),))
    reader = csv.DictReader(lines, delimiter=";" if lines and ";" in lines[0] else ",")
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    if problem := _column_problem(names, file):
        return Manifest((), (problem,))
    reader.fieldnames = names
    rows = {number: row for number, row in enumerate(reader, 2) if any(row.values())}
    items = {number: _item(row, root, rules) for number, row in rows.items()}
    return Manifest(tuple(items.values()), tuple(_problems(rows, items, file, rules)))


def _column_problem(names: list[str], file: Path) -> UserError | None:
    if missing := [name for name in NEEDED if name not in names]:
        fix = f"its first line names the columns, of {', '.join(COLUMNS)}"
        return UserError(f"the table has no column {' and no '.join(missing)}", where=str(file), fix=fix)
    unknown = next((name for name in names if name not in COLUMNS), None)
    if unknown is None:
        return None
    return UserError(f"the table has a column {unknown!r}", where=str(file), fix=nearest(unknown, COLUMNS))


def _item(row: Mapping[str, str | None], root: Path, rules: FolderRules) -> Listed:
    cell = {name: (row.get(name) or "").strip() for name in COLUMNS}
    mask = root / cell["mask"] if cell["mask"] else None
    name = rules.names.get(cell["label"], cell["label"])
    return Listed(SPLIT_NAMES.get(cell["split"].lower(), ""), name, root / cell["path"], cell["group"], mask)


def _problems(
    rows: Mapping[int, Mapping[str, str | None]], items: Mapping[int, Listed], file: Path, rules: FolderRules
) -> Iterator[UserError]:
    root = file.parent

    def lines(which: list[int], headline: str, fix: str) -> Iterator[UserError]:
        if which:
            yield UserError(f"{headline}: line {few_of([str(number) for number in which])}", str(file), fix=fix)

    splits = {number: (row.get("split") or "").strip().lower() for number, row in rows.items()}
    paths = {number: [path for path in (item.file, item.mask) if path] for number, item in items.items()}
    yield from lines([n for n, s in splits.items() if s not in SPLIT_NAMES], "unknown split", "train, test or val")
    if any(splits.values()):
        yield from lines(
            [n for n, s in splits.items() if not s], "rows without a split beside rows with one", "name it"
        )
    outside = [n for n, some in paths.items() if not all(_is_inside(path, root) for path in some)]
    yield from lines(outside, "paths that lead out of the folder", "give paths relative to the folder of the table")
    missing = [n for n, some in paths.items() if n not in outside and not all(path.is_file() for path in some)]
    yield from lines(missing, "files that are not there", "mend the paths or take the rows out")
    counts: dict[Path, list[int]] = {}
    for number, item in items.items():
        counts.setdefault(item.file, []).append(number)
    twice = [number for numbers in counts.values() for number in numbers[1:]]
    yield from lines(twice, "images that an earlier row has", "leave one row an image")
    for key in rules.names:
        if key not in {(row.get("label") or "").strip() for row in rows.values()}:
            yield UserError(f"names: no row has the label {key!r}", where=str(file), fix="take it out of `names`")
    for name in dict.fromkeys(item.name for item in items.values()):
        if problem := class_name_problem(name, file):
            yield problem


def _is_inside(path: Path, root: Path) -> bool:
    return ".." not in path.parts and path.is_relative_to(root)
