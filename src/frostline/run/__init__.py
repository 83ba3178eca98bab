"""A plan over a manifest: the conductor, its phases, and the folder that a run leaves."""
