"""spikec: trained networks in, integer spiking programs out."""
