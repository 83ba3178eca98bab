"""A model folder behind HTTP: `POST /predict` for programs, a page at `/` for people.

``process`` starts it, ``app`` has its routes, ``guard`` stands before them; ``body`` reads what a client sends,
``batcher`` answers it, ``answers`` words it. Nothing here loads torch but ``heat``, when a heat map is asked for.
"""
