"""Which images a prediction is about: those of files, folders, tar archives and URIs, each under a name of its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from upath import UPath

from workloads.data.reading.account import Unused, escaped, unused_by_name
from workloads.data.reading.listing import ImageFile, Listing, check_images, list_images
from workloads.errors import Kind, UserError


def images_at(places: Sequence[str]) -> Listing:
    """The images of every place: a file, a folder with all folders in it, a tar archive; local, or a URI.

    Names are paths below the place; where there are several places, with the place before them. Raises UserError for a
    place that is not there, cannot be reached or holds no image.
    """
    files: list[ImageFile] = []
    unused: list[Unused] = []
    for place in places:
        listing = remote_images(place) if is_uri(place) else list_images(Path(place.removeprefix("file://")))
        before = "" if len(places) == 1 else escaped(place.rstrip("/"))
        for file in listing.images:
            same = before and PurePosixPath(before).name == file.name  # the place is this file
            files.append(replace(file, name=before if same else joined(before, file.name)))
        unused += [(reason, joined(before, name)) for reason, name in listing.unused]
    return Listing(tuple(files), tuple(unused))


def joined(before: str, name: str) -> str:
    return f"{before}/{name}" if before else name


def is_uri(place: str) -> bool:
    return "://" in place and not place.startswith("file://")


def remote_images(place: str) -> Listing:
    """Of a URI that fsspec reads, such as ``s3://bucket/photos``. An archive is to be fetched first: its members are
    read from the middle, which a store answers slowly."""
    try:
        root = UPath(place)
        names = [root] if root.is_file() else [path for path in sorted(root.rglob("*"), key=str) if path.is_file()]
    except (OSError, ValueError, ImportError) as error:
        fix = "check the address and the packages that it needs"
        raise UserError(f"the images cannot be listed: {error}", where=place, fix=fix, kind=Kind.ENVIRONMENT) from error
    inner = [(path.name if path == root else path.path.removeprefix(root.path).lstrip("/"), path) for path in names]
    reasons = [(unused_by_name(name), name, path) for name, path in inner]
    images = tuple(ImageFile(escaped(name), path) for reason, name, path in reasons if reason is None)
    listing = Listing(images, tuple((reason, escaped(name)) for reason, name, _ in reasons if reason is not None))
    check_images(listing, place, "fetch an archive, or give its folder")
    return listing


def file_under(folder: Path, name: str, ending: str) -> Path:
    """A path for something made of the image `name`, always below the folder: a member of an archive may be called
    ``../../x``."""
    parts = ["_" if part in ("..", "/") else part for part in PurePosixPath(name).parts]
    path = folder.joinpath(*parts)
    return path.with_name(path.name + ending)
