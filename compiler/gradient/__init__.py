"""Weights and thresholds by gradients, with torch, which only this package knows."""
