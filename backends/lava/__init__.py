"""Lava backend: programs on Intel's Lava, in a Python 3.10 of its own, under a watch."""
