"""The published search grid of MLSAD (its Table 10), shared by the spaces that search it."""

from typing import Any

PUBLISHED_GRID: dict[str, tuple[Any, ...]] = {
    "batch_size": (8, 16, 32, 64),
    "weight_decay": (1e-3, 5e-4, 1e-4, 5e-5),
    "noise": (0.0, 0.05, 0.1),
    "lambda_structure": (0.4, 0.6, 1.0),
    "lambda_position": (0.4, 0.6, 1.0),
    "blocks": (1, 2),
}
"""4 * 4 * 3 * 3 * 3 * 2 = 864 points."""
