"""Whether figures hold what they promise: simulations whose truth is known, by the product's own functions."""
