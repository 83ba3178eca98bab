"""What frostline is measured against, and how: ``python -m bench``."""
