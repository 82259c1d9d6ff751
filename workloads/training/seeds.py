"""Seeds for every piece of randomness, derived from names, so that nothing depends on what ran before."""

import hashlib


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from any printable parts; equal parts, equal seed, on every machine."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
