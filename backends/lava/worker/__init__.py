"""What runs under Python 3.10, started by path: NumPy, Lava and the standard library, no spikec."""
