"""The golden model: plain NumPy, int64, step by step."""
