"""Search over the choices that a layer has: φ, firing mode, compression of its spikes."""
