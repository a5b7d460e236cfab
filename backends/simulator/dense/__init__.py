"""Dense matrix products over whole batches: any machine that NumPy knows."""
