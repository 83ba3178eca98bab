"""The command, also as ``python -m frostline``, which is what ``accelerate launch -m frostline`` starts."""


def main() -> None:
    """The command. Ctrl-C while its parts are imported ends it as later."""
    try:
        from frostline.cli import main as command
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    command()


if __name__ == "__main__":  # workers of `frostline serve` import this file again
    main()
