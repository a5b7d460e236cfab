"""Passes: Graph in, Graph out, one module each."""
