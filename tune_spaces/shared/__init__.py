"""What spaces of a family share: presets, the published grid, pairs of datasets."""
