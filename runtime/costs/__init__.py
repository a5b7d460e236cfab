"""Cost tables: energy per operation, with source and reliability of every figure."""
