"""What a space file is written in: `Space` and its parts."""

from tune_spaces.schema.models import Data, General, Preset, PresetName, Resources, Scheduler, Search, Space

__all__ = ["Data", "General", "Preset", "PresetName", "Resources", "Scheduler", "Search", "Space"]
