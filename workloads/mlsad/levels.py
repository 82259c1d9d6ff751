"""A detector's levels: what their scores are called. No torch: planning reads this."""


def part_of(level: int) -> str:
    """The score part of a level, which seeds, ids and files are made of."""
    return f"level_{level}"


def level_of(part: str) -> int:
    return int(part.removeprefix("level_"))
