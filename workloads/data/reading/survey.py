"""What a user's folder holds, before anything is decoded: its images by split and class, and all other files.

Without splits the folder holds class folders. With splits it holds ``train/`` and ``test/`` with class folders in them,
``val/`` or ``validation/`` with held-out normal images where there are any, and ``ground_truth/`` with masks. Or a
table says all of this, see `manifest`.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workloads.data.reading.account import (
    Account,
    FolderRules,
    Reason,
    Unused,
    account_of,
    escaped,
    few_of,
    matches,
    unused_by_place,
)
from workloads.data.reading.amount import mean_windows
from workloads.data.reading.folder import GROUND_TRUTH, REGION, Listed, class_name_problem, file_id
from workloads.data.reading.listing import walk
from workloads.data.reading.manifest import MANIFEST, read_manifest
from workloads.data.windows import Form
from workloads.errors import Problem, UserError, closest, nearest, several

SPLITS = ("train", "test")
HELD_OUT = ("val", "validation")
VAL = "val"


@dataclass(frozen=True)
class Survey:
    """items: the image files, sorted by split, class folder and name. unused: all other files, with the reason.
    problems: what a launch on the folder is refused for."""

    root: Path
    items: tuple[Listed, ...]
    unused: tuple[Unused, ...]
    problems: tuple[UserError, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({item.name for item in self.items}))

    @property
    def learnt(self) -> dict[str, int]:
        """Class -> images to learn from, held-out ones among them where the folder does not name these itself; of a
        folder without splits half of them, as `shuffling.halves` has it."""
        counts = Counter(item.name for item in self.items if item.split in ("", SPLITS[0]))
        split = any(item.split for item in self.items)
        return {name: counts[name] if split else (counts[name] + 1) // 2 for name in sorted(counts)}

    def windows(self, form: Form) -> float:
        """Windows of a typical image, from a few headers."""
        return mean_windows([item.file for item in self.items], form)

    def account(self, unreadable: Sequence[Unused] = ()) -> Account:
        """The account once the images were read. unreadable: those that could not be, each "name (why)"."""
        names = [file_id(item.file, self.root) for item in self.items]
        return account_of(len(names) - len(unreadable), [*self.unused, *unreadable], names)


def refuse(problems: Sequence[UserError]) -> None:
    """Raises UserError with all that is wrong, if anything is."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise several(Problem(item.where, f"{item.headline}; {item.fix}".rstrip("; ")) for item in problems)


def survey(root: Path, rules: FolderRules) -> Survey:
    """Walk through a folder once. Raises UserError where it is not there; all else that is wrong is in `problems`."""
    if not root.is_dir():
        names = (p.name for p in root.parent.iterdir() if p.is_dir()) if root.parent.is_dir() else ()
        near = closest(root.name, names)
        raise UserError("there is no such folder", where=str(root), nearest=near, fix="give the folder of your images")
    root = root.resolve()
    return _by_table(root, rules) if (root / MANIFEST).is_file() else _by_folders(root, rules)


def _by_table(root: Path, rules: FolderRules) -> Survey:
    manifest = read_manifest(root, rules)
    listed = {item.file: item for item in manifest.items}
    others = {root / MANIFEST, root / REGION, *(item.mask for item in manifest.items if item.mask)}
    unreached = set(listed)
    items: list[Listed] = []
    unused: list[Unused] = []
    for path, reason in walk(root, rules.ignore):
        unreached.discard(path)
        if reason is None and path in listed:
            items.append(listed[path])
        elif path not in others:
            unused.append((reason or Reason.UNLISTED, file_id(path, root)))
    grouped = _grouped(items, rules)
    problems = manifest.problems or (*_unreached(root, unreached), *_empty_sides(root, grouped))
    return Survey(root, grouped, tuple(unused), (*problems, *_side_problems(root, grouped, rules)))


def _unreached(root: Path, files: Iterable[Path]) -> Iterator[UserError]:
    """Listed files that are there and that the walk, which enters no link, has not come by."""
    if names := [file_id(file, root) for file in sorted(files)]:
        headline = f"{len(names)} rows name files behind links to folders, or in another spelling: {few_of(names)}"
        fix = "give the paths as they are below the folder, without links; copy what lies outside of it into it"
        yield UserError(headline, where=str(root / MANIFEST), fix=fix)


def _empty_sides(root: Path, items: Sequence[Listed]) -> Iterator[UserError]:
    """A table of no image, or one that names splits and has nothing to learn from, or nothing to test."""
    present = {item.split for item in items}
    if not present:
        yield UserError("no row names an image that is used", where=str(root / MANIFEST), fix="add a row an image")
    for split in SPLITS if present - {""} else ():
        if split not in present:
            headline = f"no row that is used has the split `{split}`"
            fix = "name it in some rows, or leave the column empty: then a half of every class trains, the other tests"
            yield UserError(headline, where=str(root / MANIFEST), fix=fix)


def _by_folders(root: Path, rules: FolderRules) -> Survey:
    folders = _split_folders(root, rules)
    if isinstance(folders, UserError):
        return Survey(root, (), (), (folders,))
    class_folders = {inner: split for split, outer in folders for inner in _shown_folders(outer, root, rules.ignore)}
    items: list[Listed] = []
    unused: list[Unused] = []
    for path, reason in walk(root, rules.ignore, followed=frozenset(class_folders)):
        if path == root / REGION or (path.is_relative_to(root / GROUND_TRUTH) and len(folders) > 1):
            continue
        folder = next((inner for inner in path.parents if inner in class_folders), None)
        if reason is None and folder is None:
            reason = Reason.BESIDE
        if reason is None and path.parent != folder:
            reason = Reason.NESTED
        if reason is None and folder is not None:
            items.append(Listed(class_folders[folder], class_of(folder, rules.names), path))
        elif reason is not None:
            unused.append((reason, file_id(path, root)))
    grouped = _grouped(items, rules)
    problems = tuple(_problems(root, folders, class_folders, grouped, unused, rules))
    return Survey(root, grouped, tuple(unused), problems)


def _grouped(items: Iterable[Listed], rules: FolderRules) -> tuple[Listed, ...]:
    """The items, sorted by split and path, with the groups that their names say."""
    ordered = sorted(items, key=lambda item: (("", *SPLITS, VAL).index(item.split), item.file.parts))
    return tuple(item if item.group else item._replace(group=group_of(item.file, rules.group)) for item in ordered)


def group_of(file: Path, pattern: str | None) -> str:
    """The group that a file's name says, empty where it says none."""
    match = re.search(pattern, file.name) if pattern else None
    parts = [] if match is None else [part or "" for part in match.groups() or (match.group(),)]
    return "/".join(parts) if any(parts) else ""


def class_of(folder: Path, names: Mapping[str, str]) -> str:
    """The class whose images lie in a folder: its name, or what `names` calls it."""
    plain = {unicodedata.normalize("NFC", key): name for key, name in names.items()}
    return plain.get(unicodedata.normalize("NFC", escaped(folder.name)), folder.name)


def _shown_folders(folder: Path, root: Path, ignore: Sequence[str]) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones, a system's, and those that are to be ignored."""
    inner = sorted(p for p in folder.iterdir() if p.is_dir())
    paths = {p: PurePosixPath(p.relative_to(root)) for p in inner}
    return [p for p, path in paths.items() if not unused_by_place(path) and not any(matches(path, i) for i in ignore)]


def _split_folders(root: Path, rules: FolderRules) -> list[tuple[str, Path]] | UserError:
    """[("train", ...), ("test", ...), ...], or [("", root)] where the class folders lie in `root` itself."""
    present = [name for name in SPLITS if (root / name).is_dir()]
    held_out = [name for name in HELD_OUT if (root / name).is_dir()]
    if len(present) == len(SPLITS):
        return [(name, root / name) for name in SPLITS] + [(VAL, root / name) for name in held_out]
    # A class may be called "train" (a vehicle), but train/ with folders in it is a split whose other half is missing.
    for name in (*present, *held_out):
        if _shown_folders(root / name, root, rules.ignore):
            missing = " and ".join(f"{other}/" for other in SPLITS if other not in present)
            headline = f"there is {name}/ with class folders in it, but no {missing}"
            return UserError(headline, where=str(root), fix=f"add {missing}")
    return [("", root)]


def _problems(
    root: Path,
    folders: Sequence[tuple[str, Path]],
    class_folders: Mapping[Path, str],
    items: Sequence[Listed],
    unused: Sequence[Unused],
    rules: FolderRules,
) -> Iterator[UserError]:
    yield from _name_problems(root, class_folders, rules)
    for split, outer in folders:
        if split not in class_folders.values() and split != VAL:
            yield UserError("no class folders in it", where=str(outer), fix="make one folder of images for each class")
    filled = {item.file.parent for item in items}
    for folder in class_folders:
        yield from _class_problems(folder, root, unused, filled=folder in filled)
    yield from _side_problems(root, items, rules)


def _side_problems(root: Path, items: Sequence[Listed], rules: FolderRules) -> Iterator[UserError]:
    """Held-out images of classes that are not learnt, groups on both sides of a split, and a pattern of none."""
    learnt = {item.name for item in items if item.split == SPLITS[0]}
    for name in sorted({item.name for item in items if item.split == VAL} - learnt):
        yield UserError(
            f"held-out images of {name!r}, of which train/ has none: held-out images are normal ones",
            where=str(root),
            fix=f"move anomalous images to test/{name}, normal ones into the folder of their class",
        )
    if rules.group and items and not any(item.group for item in items):
        headline, example = f"group: {rules.group!r} is in no file's name", items[0].file.name
        yield UserError(headline, where=str(root), fix=f"names are like {escaped(example)!r}")
    sides: dict[str, dict[str, str]] = {}
    for item in items:
        if item.group:
            sides.setdefault(item.group, {}).setdefault(item.split, file_id(item.file, root))
    if torn := {group: list(names.values()) for group, names in sides.items() if len(names) > 1}:
        shown = [f"{group} ({', '.join(names)})" for group, names in torn.items()]
        yield UserError(
            f"{len(torn)} groups of images lie on both sides of a split: {few_of(shown)}",
            where=str(root),
            fix="move all images of a group to one side, or mend the key `group`",
        )


def _name_problems(root: Path, class_folders: Mapping[Path, str], rules: FolderRules) -> Iterator[UserError]:
    for folder in class_folders:
        if problem := class_name_problem(class_of(folder, rules.names), folder):
            yield problem
    present = {unicodedata.normalize("NFC", escaped(folder.name)) for folder in class_folders}
    for key in rules.names:
        if unicodedata.normalize("NFC", key) not in present:
            yield UserError(f"names: there is no class folder {key!r}", where=str(root), fix=nearest(key, present))


def _class_problems(folder: Path, root: Path, unused: Sequence[Unused], *, filled: bool) -> Iterator[UserError]:
    """A class folder that leads out of the data, has images in folders of its own, or none that are used."""
    if not folder.resolve().is_relative_to(root):
        yield UserError("a class folder that links out of the data is not followed", where=str(folder))
        return
    within = file_id(folder, root) + "/"
    inside = [(reason, name) for reason, name in unused if name.startswith(within)]
    if nested := [name.removeprefix(within) for reason, name in inside if reason is Reason.NESTED]:
        headline = f"the class folder {folder.name!r} has a folder {nested[0].partition('/')[0]!r} in it"
        fix = f"put a class's images directly into its folder, or name it in the key `ignore`: {few_of(nested)}"
        yield UserError(headline, where=str(folder), fix=fix)
    elif not filled:
        headline, details = f"the class folder {folder.name!r} has no images in it", account_of(0, inside).details
        fix = "remove it, name it in the key `ignore`, or add images"
        yield UserError(headline, str(folder), fix=fix, details=details)
