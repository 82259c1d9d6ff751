"""A Gaussian on principal components of handwritten digits: how many?"""

from tune_spaces.schema import Data, Preset, Space

SPACE = Space(
    workload="own_method:Gaussian",
    data=Data(name="digits", side=16),
    axes={"components": (4, 16, 64)},
    presets={"paper": Preset(), "smoke": Preset(classes=("3", "8"), points=2)},
)
