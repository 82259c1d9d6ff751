"""An autoencoder of one's own on handwritten digits: how narrow, and how fast?"""

from tune_spaces.schema import Data, Preset, Space

SPACE = Space(
    workload="own_method:Autoencoder",  # own_method.py lies beside this file
    data=Data(name="digits", side=16),
    axes={"bottleneck": (4, 8), "lr": (1e-3, 5e-3)},
    presets={"paper": Preset(), "smoke": Preset(classes=("3", "8"), points=2, config={"epochs": 40.0})},
)
