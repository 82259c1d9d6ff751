"""Test images at both ends of a detector's scores and in their middle, with its maps where it gives them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.data.images import out_split, rows_of_images
from workloads.data.view import TargetView
from workloads.data.windows import Places, stitch
from workloads.errors import UserError
from workloads.figures import Panel, Picture, panel_rows
from workloads.learner import Finding, Fitted, GroupDetector, Scorer
from workloads.scoring.localisation import mean_maps
from workloads.scoring.table import highest_by_image

PLACES = ("lowest", "median", "highest")
"""Scores of the images that are shown, of the normal ones and of the anomalous ones."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Images of a split that may be shown. windows: uint8 (N, C, H, W). rows: those of each image. scores: (M,), one an
    image. places: where windows lie in their images; None where each is its image."""

    windows: Tensor
    rows: Sequence[slice]
    scores: NDArray[np.float32]
    places: Places | None = None

    def take(self, chosen: NDArray[np.bool_]) -> "Candidates":
        """The chosen images (M,)."""
        rows = [rows for rows, shown in zip(self.rows, chosen, strict=True) if shown]
        return Candidates(self.windows, rows, self.scores[chosen], self.places)

    def image(self, number: int) -> Tensor:
        """uint8 (C, H, W)."""
        windows = self.windows[self.rows[number]].cpu()
        if self.places is None:
            return windows[0]
        places = self.places[self.rows[number]]
        channels = [stitch(windows[:, channel].float().numpy(), places) for channel in range(windows.shape[1])]
        return torch.from_numpy(np.stack(channels).round().astype(np.uint8))

    def map(self, scorers: Sequence[Any], number: int) -> Tensor:
        """float32 (H, W), the detector's scores of the image's pixels."""
        maps = mean_maps(scorers, self.windows[self.rows[number]])
        return torch.from_numpy(maps[0] if self.places is None else stitch(maps, self.places[self.rows[number]]))


def examples(method: Any, view: TargetView, fitted: Fitted, seed: int) -> Finding:  # noqa: ARG001 - as every analysis
    """Of the normal test images, and of the anomalous ones (those of the out sets where there are no others), the image
    with the lowest, the median and the highest score.

    Numbers: their scores, higher = more anomalous, such as `normal_lowest`. Picture: `images`, below each its map where
    the detector gives maps.
    Raises UserError for a detector that scores groups of images alone.
    """
    scorers = []
    for unit in method.units([view.target]):
        artifacts = {str(need): fitted.artifacts[str(need)] for need in method.scoring_needs(unit)}
        scorers.append(method.scorer(unit, view.shape, artifacts, view.device))
        scorers[-1].load_state(fitted.states[str(unit)])
    if any(isinstance(scorer, GroupDetector) for scorer in scorers):
        raise UserError(f"{method.name} scores groups of images, and no image alone")
    kinds = {"normal": scored(method, scorers, view, "test", anomalous=False)}
    others = ["test", *(out_split(name) for name in view.out)]
    anomalous = (scored(method, scorers, view, split, anomalous=True) for split in others)
    if first := next((some for some in anomalous if some.rows), None):
        kinds["anomalous"] = first
    shown = {f"{kind}_{place}": item for kind, some in kinds.items() for place, item in ends_of(some)}
    numbers = {name: float(some.scores[number]) for name, (some, number) in shown.items()}
    return Finding(numbers, {"images": picture(each_once(shown), method.localizing(scorers))} if shown else {})


def scored(method: Any, scorers: Sequence[Scorer], view: TargetView, split: str, *, anomalous: bool) -> Candidates:
    """The normal or the anomalous images of a split, with the whole detector's scores."""
    windows = view.tested if split == "test" else view.out[split.partition("/")[2]]
    marks = view.anomalous if split == "test" else np.ones(len(windows), bool)
    parts = {part: values for scorer in scorers for part, values in scorer.score(windows).items()}
    judged = method.judged_parts() or tuple(parts)
    whole = np.asarray(method.combine({part: parts[part] for part in sorted(judged)}), np.float32)
    rows = rows_of_images(view.ids[split])
    first = np.array([part.start for part in rows], np.intp)
    scores = highest_by_image(whole, first) if rows else whole
    return Candidates(windows, rows, scores, view.windows.get(split)).take(marks[first] == anomalous)


def ends_of(images: Candidates) -> Iterator[tuple[str, tuple[Candidates, int]]]:
    """Each of `PLACES`, and the image there; of fewer images than that one stands at several."""
    order = np.argsort(images.scores, kind="stable")
    numbers = [order[0], order[len(order) // 2], order[-1]] if len(order) else []
    yield from zip(PLACES, ((images, int(number)) for number in numbers), strict=False)


def each_once(shown: dict[str, tuple[Candidates, int]]) -> dict[str, tuple[Candidates, int]]:
    """An image that stands at several places under the name of all of them."""
    names: dict[tuple[str, int], str] = {}
    for name, (_, number) in shown.items():
        kind, _, place = name.partition("_")
        names[kind, number] = f"{names[kind, number]}_{place}" if (kind, number) in names else name
    return {name: (shown[f"{kind}_{name.split('_')[1]}"][0], number) for (kind, number), name in names.items()}


def picture(shown: dict[str, tuple[Candidates, int]], scorers: Sequence[Any]) -> Picture:
    """A column an image, its map below it where there are `scorers` that give maps; colours as far as the maps go."""
    images = [some.image(number) for some, number in shown.values()]
    titles = [f"{name.replace('_', ', ')}\n{some.scores[number]:.4g}" for name, (some, number) in shown.items()]
    maps = [some.map(scorers, number) for some, number in shown.values()] if scorers else []
    rows = [[Panel(image) for image in images]]
    if not maps:
        return panel_rows(rows, titles)
    known = torch.cat([scores[~scores.isnan()] for scores in maps])
    overlays = [Panel(image, scores) for image, scores in zip(images, maps, strict=True)]
    return panel_rows([*rows, overlays], titles, float(known.median()), float(known.max()))
