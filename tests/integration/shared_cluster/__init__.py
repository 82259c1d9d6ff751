"""Tests that join one Ray: it is started once, before the first of them that needs it, and ends with the last."""
