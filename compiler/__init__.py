"""The compiler: a trained network in, an immutable integer Program out; it knows no backend."""
