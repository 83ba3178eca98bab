"""``python -m frostline``, which is what ``accelerate launch -m frostline`` starts."""

from frostline.cli import main

main()
