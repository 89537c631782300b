"""Many designs: a product of axes, computed in pieces that survive anything."""
