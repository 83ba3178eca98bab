"""A model folder behind HTTP: `POST /predict` for programs, a page at `/` for people.

``server`` runs it, ``app`` has its routes, ``security`` stands before them; ``uploads`` reads what a client sends,
``batcher`` answers it, ``schemas`` words it. Nothing here loads torch but ``heatmaps``, when one is asked for.
"""
