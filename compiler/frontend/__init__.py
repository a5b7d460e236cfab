"""The model file: read, checked, simplified, turned into a Graph and back."""
