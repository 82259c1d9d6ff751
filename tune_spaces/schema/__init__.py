"""What a space file is written in: `Space` and its parts."""

from tune_spaces.schema.data import Auxiliary, Data
from tune_spaces.schema.models import Preset, PresetName, Resources, Scheduler, Search, Space

__all__ = ["Auxiliary", "Data", "Preset", "PresetName", "Resources", "Scheduler", "Search", "Space"]
