"""Templates for a folder of your own images, one of each method; `launch --images` takes them by its method."""
