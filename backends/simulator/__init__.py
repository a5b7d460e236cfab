"""The fast exact simulator: whole layers, all steps and a batch at once."""
