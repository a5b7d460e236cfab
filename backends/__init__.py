"""Backends: a Program in, a Run out; they know no graph and no float weight."""
