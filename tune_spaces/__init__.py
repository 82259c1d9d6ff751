"""Declarations of what to run: one module a space, none of them imports torch or Ray."""
