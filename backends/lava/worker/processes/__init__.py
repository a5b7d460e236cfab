"""Lava processes and their fixed-point models, nothing else: Lava imports every file here."""
