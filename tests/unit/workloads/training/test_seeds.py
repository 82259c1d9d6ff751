"""Seeds are a function of their parts."""

from workloads.training.seeds import derive_seed


def test_seeds_depend_on_every_part_and_fit_torch() -> None:
    parts = [(0, "a"), (0, "b"), (1, "a"), (0,), ("0a",), (0, "a", "")]
    seeds = [derive_seed(*p) for p in parts]
    assert len(set(seeds)) == len(parts)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, "a") == 8617095791668180470  # the same on every machine and in every version
