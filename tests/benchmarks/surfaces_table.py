"""A table of methods on the surfaces of `surfaces.py`: image AUROC by kind of defect, pixel AUROC, CPU seconds, memory.

    python tests/benchmarks/surfaces_table.py SURFACES [NAME ...] [--method METHOD ...] > rows.jsonl

prints a line of JSON a surface and method, then means. Each runs on one thread in a process of its own. The rows of
anomalib need it installed; its two models are given our network, weights and layers.
"""

import argparse
import json
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import workloads
from workloads.patch_memory.config import PatchMemoryConfig
from workloads.patch_memory.features import Features
from workloads.scoring.metrics import auroc, pixel_auroc

METHODS = {
    "neighbours (ImageNet)": {},
    "Gaussian (ImageNet)": {"model": "gaussian"},
    "Gaussian a place (ImageNet)": {"model": "gaussian_per_place"},
    "neighbours as PatchCore (ImageNet)": {"whitened": False, "image_score": "reweighted"},
    "neighbours, random convolutions": {"features": "random"},
    "Gaussian, random convolutions": {"features": "random", "model": "gaussian"},
    "neighbours, raw patches": {"features": "pixels", "whitened": False},
}
CORESETS = {"anomalib PatchCore (ImageNet)": 0.1, "anomalib PatchCore, a coreset of 1 % (ImageNet)": 0.01}
PEERS = (*CORESETS, "anomalib PaDiM (ImageNet)")
CPU = torch.device("cpu")


def read(files):
    return np.stack([np.asarray(Image.open(file)) for file in files])


def photographs(folder):
    """(normal ones, tested ones, their kinds, masks of all tested ones)."""
    tested = sorted((folder / "test").glob("*/*.png"))
    masks = [folder / "ground_truth" / file.parent.name / f"{file.stem}_mask.png" for file in tested]
    blank = np.zeros((256, 256), np.uint8)
    marked = np.stack([np.asarray(Image.open(mask)) > 0 if mask.exists() else blank > 0 for mask in masks])
    return read(sorted((folder / "train" / "good").iterdir())), read(tested), [f.parent.name for f in tested], marked


def ours(config):
    def scored(normal, tested):
        detector = workloads.fit("patch_memory", normal, config, validation=normal[:2])
        inspected = list(detector.inspect(tested, maps=True))
        return np.array([item.score for item in inspected]), np.stack([item.map for item in inspected])

    return scored


class Extractor(torch.nn.Module):
    """Our network's layers, as anomalib's models ask for them."""

    def __init__(self):
        super().__init__()
        self.features = Features(PatchMemoryConfig(), CPU)

    def forward(self, images):
        return dict(zip(self.features.layers, self.features.outputs(images), strict=True))


def anomalib(name):
    """Of one of its models, at its defaults (100 channels) but for the coreset's share: image scores and maps."""

    def scored(normal, tested):
        from anomalib.models.image.padim.torch_model import PadimModel
        from anomalib.models.image.patchcore.torch_model import PatchcoreModel

        if name in CORESETS:
            model = PatchcoreModel(layers=["layer2", "layer3"], backbone="resnet18", pre_trained=False)
        else:
            model = PadimModel(layers=["layer2", "layer3"], backbone="resnet18", pre_trained=False, n_features=100)
            model.idx = torch.randperm(152)[:100]
        model.feature_extractor = Extractor()
        model.layers = model.feature_extractor.features.layers
        model.train()
        for batch in batches(normal):
            model(batch)
        if name in CORESETS:
            model.subsample_embedding(CORESETS[name])
        else:
            model.fit()
        model.eval()
        with torch.inference_mode():
            answers = [model(batch) for batch in batches(tested)]
        scores = torch.cat([answer.pred_score.flatten() for answer in answers])
        return scores.numpy(), torch.cat([answer.anomaly_map[:, 0] for answer in answers]).numpy()

    return scored


def batches(images):
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).split(16)


def measured(folder, name, queue):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    normal, tested, kinds, masks = photographs(folder)
    score = ours(METHODS[name]) if name in METHODS else anomalib(name)
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scores, maps = score(normal, tested)
    seconds, peak = time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = areas(scores, maps, kinds, masks)
    queue.put({"surface": folder.name, "method": name} | row | {"cpu_s": seconds, "mb": (peak - before) / 1024})


def areas(scores, maps, kinds, masks):
    """AUROC of the images, of all and by kind of defect, and of every other pixel of every other row."""
    kinds, good = np.array(kinds), np.array(kinds) == "good"
    of_kind = {kind: good | (kinds == kind) for kind in sorted({*kinds} - {"good"})}
    pixels = np.s_[:, ::2, ::2]
    return (
        {"image": auroc(scores, ~good)}
        | {kind: auroc(scores[these], ~good[these]) for kind, these in of_kind.items()}
        | {"pixel": pixel_auroc(maps[pixels], masks[pixels].astype(np.uint8))}
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("surfaces", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--method", action="append", choices=[*METHODS, *PEERS])
    arguments = parser.parse_args()
    processes = multiprocessing.get_context("spawn")
    rows = []
    for name in arguments.names or sorted(folder.name for folder in arguments.surfaces.iterdir()):
        for method in arguments.method or METHODS:
            queue = processes.Queue()
            process = processes.Process(target=measured, args=(arguments.surfaces / name, method, queue))
            process.start()
            process.join()
            if process.exitcode == 0:
                rows.append(queue.get())
                print(json.dumps(rows[-1]), flush=True)
    for method in dict.fromkeys(row["method"] for row in rows):
        same = [row for row in rows if row["method"] == method]
        means = {
            key: round(float(np.mean([row[key] for row in same])), 3)
            for key in same[0]
            if key not in ("surface", "method")
        }
        print(json.dumps({"mean of": len(same), "method": method} | means), flush=True)


if __name__ == "__main__":
    main()
