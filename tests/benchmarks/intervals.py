"""How often intervals of an AUROC cover the true value: the candidates, the ways to draw scores, and docs' table.

    python -m tests.benchmarks.intervals [--draws 2000] [SCORES.parquet ...]

prints the tables of docs/numbers.md. Score files of real runs are taken as whole populations, from which tests of every
size are drawn with replacement: their AUROC is the true one. The method in use is `workloads.scoring.intervals`.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from scipy.special import expit, logit
from scipy.stats import beta, norm

from orchestrator.results.evaluation import read_table
from orchestrator.results.report.tables import markdown_table
from workloads.scoring.intervals import bounds, delong, interval_of, mean_interval
from workloads.scoring.metrics import rows_by_target

Z = norm.ppf(0.975)
SIZES = ((20, 20), (50, 50), (200, 200), (90, 810), (10, 1000), (1000, 10), (40, 15), (2000, 100))
LEVELS = (0.05, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999)
VALUES_AT_ONCE = 2_000_000


def separated(area, low, high, smaller):
    """The exact binomial bound on the smaller sample where the classes are fully separated."""
    exact = 0.025 ** (1 / smaller)
    low = np.select([area >= 1, area <= 0], [exact, 0.0], low)
    return low, np.select([area >= 1, area <= 0], [1.0, 1 - exact], high)


def hanley_variance(area, n, m):
    """Hanley and McNeil's, of exponential scores."""
    wins, losses = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
    return (area * (1 - area) + (m - 1) * wins + (n - 1) * losses) / (n * m)


def wald(area, variance, _n, _m):
    reach = Z * np.sqrt(variance)
    return np.clip(area - reach, 0, 1), np.clip(area + reach, 0, 1)


def hanley(area, _variance, n, m):
    return wald(area, hanley_variance(area, n, m), n, m)


def newcombe(area, _variance, n, m):
    """Newcombe's method 5 (2006): the areas from which the measured one is no further than z errors, by bisection."""
    half = (n + m) / 2

    def unlike(value):
        terms = (1 - value) / (2 - value) + value / (1 + value)
        return (area - value) ** 2 > Z**2 * value * (1 - value) * (1 + (half - 1) * terms) / (n * m)

    ends = []
    for end in (0.0, 1.0):
        far, near = np.full_like(area, end), area.copy()
        for _ in range(50):
            middle = (far + near) / 2
            far, near = np.where(unlike(middle), middle, far), np.where(unlike(middle), near, middle)
        ends.append(near)
    return tuple(ends)


def on_logit_scale(area, variance, n, m):
    inside = (area > 0) & (area < 1)
    safe = np.where(inside, area, 0.5)
    reach = Z * np.sqrt(variance) / (safe * (1 - safe))
    return separated(area, expit(logit(safe) - reach), expit(logit(safe) + reach), min(n, m))


def effective(area, variance, smaller, limit):
    """The effective number of images, at most `limit` times the smaller sample."""
    inside = (area > 0) & (area < 1) & (variance > 0)
    raw = np.divide(area * (1 - area), variance, out=np.full_like(area, np.inf), where=inside)
    return np.minimum(raw, limit * smaller)


def limited_logit(area, variance, n, m):
    count = effective(area, variance, min(n, m), 3)
    return on_logit_scale(area, np.maximum(variance, area * (1 - area) / count), n, m)


def wilson(area, variance, n, m):
    count = effective(area, variance, min(n, m), 2)
    middle = (area + Z**2 / (2 * count)) / (1 + Z**2 / count)
    reach = Z / (1 + Z**2 / count) * np.sqrt(area * (1 - area) / count + Z**2 / (4 * count**2))
    return separated(area, middle - reach, middle + reach, min(n, m))


def clopper_pearson(area, variance, n, m):
    count = effective(area, variance, min(n, m), 2)
    hits, misses = np.maximum(area * count, 1e-9), np.maximum((1 - area) * count, 1e-9)
    return separated(area, beta.ppf(0.025, hits, misses + 1), beta.ppf(0.975, hits + 1, misses), min(n, m))


def in_use(area, variance, n, m):
    return bounds(area, variance, min(n, m))


CANDIDATES: Mapping[str, Callable] = {
    "DeLong": wald,
    "Hanley-McNeil": hanley,
    "Newcombe's method 5": newcombe,
    "DeLong, logit scale, exact at separation": on_logit_scale,
    "the same, at most 3 effective images": limited_logit,
    "Wilson, effective images": wilson,
    "Clopper-Pearson, effective images": clopper_pearson,
    "**Jeffreys, effective images (in use)**": in_use,
}


def delongs(normal, anomaly):
    """`delong` of every row of (B, n) and (B, m): two arrays (B,)."""
    return np.array([delong(*pair) for pair in zip(normal, anomaly, strict=True)]).T


def binormal(spread):
    def draw(random, level, normal, anomaly):
        shift = norm.ppf(level) * np.sqrt(1 + spread**2)
        return random.normal(size=normal), random.normal(shift, spread, anomaly), level

    return draw


def skewed(random, level, normal, anomaly):
    """Exponential scores."""
    return random.exponential(size=normal), random.exponential(level / (1 - level), anomaly), level


def hard_anomalies(random, level, normal, anomaly):
    """Some anomalies look normal, the rest are far away."""
    scores = random.normal(20, size=anomaly)
    hidden = random.random(anomaly) < 2 * (1 - level)
    return random.normal(size=normal), np.where(hidden, random.normal(size=anomaly), scores), level


def odd_normals(random, level, normal, anomaly):
    """Some normal images look like anomalies."""
    anomalies, normals, _ = hard_anomalies(random, level, anomaly, normal)
    return -normals, -anomalies, level


def tied(random, level, normal, anomaly):
    """Six values in all."""
    shift = norm.ppf(level) * np.sqrt(2)
    edges = np.linspace(-1, shift + 1, 5)
    below, above = (np.diff(np.concatenate([[0], norm.cdf(edges - at), [1]])) for at in (0, shift))
    truth = float((above * (np.cumsum(below) - below / 2)).sum())
    values = random.normal(size=normal), random.normal(shift, size=anomaly)
    return *(np.searchsorted(edges, part).astype(float) for part in values), truth


DRAWS = {
    "binormal": binormal(1.0),
    "binormal, anomalies three times as wide": binormal(3.0),
    "binormal, anomalies a third as wide": binormal(1 / 3),
    "skewed (exponential)": skewed,
    "hard anomalies": hard_anomalies,
    "odd normal images": odd_normals,
    "tied (six values)": tied,
}


def simulated(draws: int, seed: int = 0) -> Iterator[tuple[str, tuple[int, int], float, float, tuple]]:
    """(way to draw, sizes, level, true AUROC, (measured, DeLong's variance)); a level below .5 is one above, upside
    down."""
    random = np.random.default_rng(seed)
    for name, draw in DRAWS.items():
        for n, m in SIZES:
            count = min(draws, VALUES_AT_ONCE // (n + m))
            for level in LEVELS:
                normal, anomaly, truth = draw(random, max(level, 1 - level), (count, n), (count, m))
                if level < 0.5:
                    normal, anomaly, truth = -normal, -anomaly, 1 - truth
                yield name, (n, m), level, truth, delongs(normal, anomaly)


def redrawn(files: list[str], draws: int, seed: int = 1) -> Iterator[tuple[str, tuple[int, int], float, float, tuple]]:
    """The same of real score files: tests of every size drawn from every target's scores."""
    random = np.random.default_rng(seed)
    for file in files:
        for target, rows in rows_by_target(read_table_of(file)).items():
            truth, parts = rows.auroc(), (rows.scores[~rows.anomalous], rows.scores[rows.anomalous])
            if truth is None or not 0 < truth < 1:
                continue
            for n, m in SIZES:
                count = min(draws, VALUES_AT_ONCE // (n + m))
                normal, anomaly = (random.choice(part, (count, k)) for part, k in zip(parts, (n, m), strict=True))
                yield f"real: {target}", (n, m), truth, truth, delongs(normal, anomaly)


def read_table_of(file: str):
    from upath import UPath

    return read_table(UPath(file))


def coverage(cells) -> dict[str, list[tuple]]:
    """Candidate -> (way, sizes, level, covered, true value below, width) of every cell."""
    found: dict[str, list[tuple]] = {name: [] for name in CANDIDATES}
    for way, sizes, level, truth, (area, variance) in cells:
        for name, method in CANDIDATES.items():
            low, high = method(area, variance, *sizes)
            covered = float(((low <= truth) & (truth <= high)).mean())
            found[name].append((way, sizes, level, covered, float((truth < low).mean()), float((high - low).mean())))
    return found


def summary(found: dict[str, list[tuple]]) -> str:
    """One line a candidate over all cells."""
    heads = ["interval", "worst", "5th percentile", "mean", "worst from .95 on", "most flattering misses", "mean width"]
    lines = []
    for name, cells in found.items():
        shares = np.array([cell[3] for cell in cells])
        high = [cell[3] for cell in cells if cell[2] >= 0.95]
        flattering = max(cell[4] if cell[2] >= 0.5 else 1 - cell[3] - cell[4] for cell in cells)
        values = (shares.min(), np.quantile(shares, 0.05), shares.mean(), min(high), flattering)
        lines.append([name, *(f"{value:.1%}" for value in values), f"{np.mean([cell[5] for cell in cells]):.3f}"])
    return markdown_table(heads, lines)


def by_cell(found: dict[str, list[tuple]], name: str) -> str:
    """Of one candidate: the worst coverage over the ways to draw, by sizes and level."""
    cells = found[name]
    levels = sorted({cell[2] for cell in cells})
    lines = [
        [f"{n} / {m}", *(f"{min(c[3] for c in cells if c[1] == (n, m) and c[2] == level):.1%}" for level in levels)]
        for n, m in SIZES
    ]
    return markdown_table(["normal / anomalous", *(f"{level:g}" for level in levels)], lines)


def bootstrap(draws: int, resamples: int = 500, seed: int = 2) -> str:
    """Coverage of the percentile bootstrap, too slow for every cell: binormal scores, three sizes."""
    random, lines = np.random.default_rng(seed), []
    levels = [level for level in LEVELS if level >= 0.8]
    for n, m in SIZES[:3]:
        shares = []
        for level in levels:
            hits = 0
            for _ in range(draws):
                normal, anomaly, truth = DRAWS["binormal"](random, level, n, m)
                areas, _ = delongs(random.choice(normal, (resamples, n)), random.choice(anomaly, (resamples, m)))
                low, high = np.quantile(areas, [0.025, 0.975])
                hits += low <= truth <= high
            shares.append(f"{hits / draws:.1%}")
        lines.append([f"{n} / {m}", *shares])
    return markdown_table(["bootstrap, normal / anomalous", *(f"{level:g}" for level in levels)], lines)


def mean_coverage(draws: int, shared: bool, classes: int = 10, seed: int = 3) -> str:
    """Coverage of the mean's interval over ten classes, levels from `level` to 1 evenly. shared: every class is tested
    on the same images, anomalies of nine problems and normal in the tenth, as the one-class protocol has it."""
    random, lines = np.random.default_rng(seed), []
    for size in (20, 50, 200):
        shares = []
        for level in (0.6, 0.8, 0.9, 0.98):
            levels = np.linspace(level, 0.999, classes)
            shifts = norm.ppf(levels) * np.sqrt(2)
            hits = 0
            for _ in range(draws):
                parts = []
                scores = random.normal(size=(classes * size, 1)) if shared else None
                for number, shift in enumerate(shifts):
                    noise = random.normal(size=(classes * size, 1))
                    values = (noise if scores is None else np.sqrt(0.5) * (noise + scores))[:, 0]
                    normal = np.arange(classes * size) // size == number
                    pair = values[normal], values[~normal] + shift
                    parts.append((delong(*pair)[0], interval_of(*pair)))
                low, high = mean_interval(parts)
                hits += low <= levels.mean() <= high
            shares.append(f"{hits / draws:.1%}")
        lines.append([f"{size} / {size * (classes - 1)}", *shares])
    kind = "the same test images" if shared else "independent test images"
    return markdown_table([f"mean of ten, {kind}", "from .6", "from .8", "from .9", "from .98"], lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
    parser.add_argument("--draws", type=int, default=2000)
    options = parser.parse_args()
    made = coverage(simulated(options.draws))
    print(summary(made), by_cell(made, "DeLong"), by_cell(made, "**Jeffreys, effective images (in use)**"), sep="\n\n")
    if options.files:
        print("", summary(coverage(redrawn(options.files, options.draws))), sep="\n")
    few = max(20, options.draws // 5)
    print("", bootstrap(few), mean_coverage(few, shared=False), mean_coverage(few, shared=True), sep="\n\n")


if __name__ == "__main__":
    main()
