"""Closer looks at a flow's latents, and at what could be scored with them."""
