"""Event-driven machine code: every layer advanced through all steps by kernels made for it."""
