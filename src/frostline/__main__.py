"""``python -m frostline``, which is what ``accelerate launch -m frostline`` starts."""

from frostline.cli import main

if __name__ == "__main__":  # workers of `frostline serve` import this file again
    main()
