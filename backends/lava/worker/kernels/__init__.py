"""What populations and connections compute, in NumPy: shapes are (C, *spatial), no batch axis."""
