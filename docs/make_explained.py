"""Make docs/explained.jpg: draw an ant and a bee, and let `frostline explain` say where it sees them.

    python docs/make_explained.py RUN

RUN was fitted on the lesson's photographs and has never seen a drawing. Photographs of other people do not belong into
the project, so these two insects are its own.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

DOCS = Path(__file__).parent
SIZE = (480, 360)
FINE = 4  # drawn this much larger, then shrunk: smooth edges
Point = tuple[float, float]
Colour = tuple[int, int, int, int]
DARK, BROWN, SHINE, GOLD = (36, 20, 13, 255), (70, 36, 22, 255), (150, 95, 70, 255), (196, 132, 36, 255)


class Layer:
    """A transparent sheet; all lengths are in pixels of the finished picture."""

    def __init__(self) -> None:
        self.sheet = Image.new("RGBA", (SIZE[0] * FINE, SIZE[1] * FINE))
        self.pen = ImageDraw.Draw(self.sheet)

    def oval(self, x: float, y: float, wide: float, high: float, colour: Colour, *, tilt: float = 0.0) -> None:
        """An ellipse about (x, y) with these half axes, turned by tilt degrees."""
        turn, at = np.exp(1j * np.radians(tilt)), np.exp(1j * np.linspace(0, 2 * np.pi, 120))
        edge = complex(x, y) + turn * (wide * at.real + 1j * high * at.imag)
        self.pen.polygon([(point.real * FINE, point.imag * FINE) for point in edge], fill=colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour = DARK) -> None:
        """Straight pieces from point to point."""
        self.pen.line([(x * FINE, y * FINE) for x, y in points], colour, round(width * FINE), joint="curve")

    def on(self, ground: Image.Image, *, blur: float = 0.8, angle: float = 0.0) -> Image.Image:
        """The ground with this layer and its soft shadow."""
        top = self.sheet.rotate(angle, Image.Resampling.BICUBIC).resize(SIZE, Image.Resampling.LANCZOS)
        top = top.filter(ImageFilter.GaussianBlur(blur))
        shade = Image.new("RGBA", SIZE)
        dim = top.getchannel("A").point([a // 2 for a in range(256)]).filter(ImageFilter.GaussianBlur(5))
        shade.paste((20, 15, 10), (6, 10), dim)
        return Image.alpha_composite(Image.alpha_composite(ground.convert("RGBA"), shade), top)


def ground(rng: np.random.Generator, colour: Sequence[float], grains: Sequence[tuple[int, float]]) -> Image.Image:
    """A colour with noise; grains: (size in pixels, strength) of each kind."""
    light = np.zeros(SIZE[::-1])
    for size, strength in grains:
        coarse = rng.normal(128, 32, (SIZE[1] // size + 2, SIZE[0] // size + 2)).clip(0, 255).astype(np.uint8)
        fine = Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)
        light += (np.asarray(fine, float) - 128) / 32 * strength
    return Image.fromarray((np.array(colour) + light[..., None]).clip(0, 255).astype(np.uint8))


def ant(rng: np.random.Generator) -> Image.Image:
    """Seen from above, on sand."""
    body = Layer()
    for hip, knee, shin, foot in (
        ((255, 180), (225, 130), (190, 105), (165, 100)),
        ((262, 182), (255, 125), (250, 85), (235, 62)),
        ((272, 180), (300, 130), (330, 100), (345, 70)),
        ((255, 190), (222, 235), (190, 255), (160, 262)),
        ((262, 192), (252, 245), (245, 285), (228, 306)),
        ((272, 190), (300, 240), (330, 270), (350, 300)),
    ):
        body.line((hip, knee), 5)
        body.line((knee, shin), 4)
        body.line((shin, foot), 2.5)
    for antenna in (((335, 178), (362, 150), (395, 152)), ((335, 192), (364, 216), (398, 212))):
        body.line(antenna, 2.5)
    for x, wide, high in ((170, 52, 36), (219, 8, 9), (231, 6, 7), (268, 34, 19), (318, 25, 22)):
        body.oval(x, 185, wide, high, DARK)
    for x, wide, high in ((170, 52, 36), (268, 34, 19), (318, 25, 22)):
        body.oval(x - 3, 180, 0.75 * wide, 0.6 * high, BROWN)
        body.oval(x - 8, 176, 0.3 * wide, 0.18 * high, SHINE)
    for jaw in (((340, 180), (352, 176), (356, 184)), ((340, 190), (352, 194), (356, 186))):
        body.line(jaw, 3)
    return body.on(ground(rng, (176, 150, 118), ((1, 7), (3, 10), (12, 10), (60, 10))), angle=18)


def bee(rng: np.random.Generator) -> Image.Image:
    """On a yellow flower."""
    flower = Layer()
    for angle in np.arange(16) * np.pi / 8:
        tip = [
            (240 + far * np.cos(angle + a), 215 + 0.8 * far * np.sin(angle + a))
            for a, far in ((-0.13, 150), (0, 165), (0.13, 150))
        ]
        flower.pen.polygon([(x * FINE, y * FINE) for x, y in (*tip, (240, 215))], fill=(232, 186, 40, 255))
    for _ in range(900):
        far, angle, shade = 60 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi), int(rng.normal(0, 14))
        flower.oval(
            240 + far * np.cos(angle), 215 + 0.8 * far * np.sin(angle), 3, 3, (150 + shade, 104 + shade, 26, 255)
        )
    leaves = ground(rng, (86, 120, 60), ((4, 5), (30, 16), (90, 26))).filter(ImageFilter.GaussianBlur(5))
    body = Layer()
    for leg in (((280, 200), (300, 240), (330, 258)), ((262, 202), (266, 248), (290, 275)),
                ((246, 200), (226, 246), (236, 280)), ((290, 160), (320, 128), (345, 124))):  # fmt: skip
        body.line(leg, 4)
    body.oval(185, 182, 62, 33, GOLD)
    for x in (135, 158, 182, 206, 226):
        body.oval(x, 182, 6, 33 * np.sqrt(1 - ((x - 185) / 62) ** 2), DARK)
    for _ in range(1500):
        far, angle, shade = np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi), int(rng.normal(0, 20))
        x, y = 185 + 62 * far * np.cos(angle), 182 + 33 * far * np.sin(angle)
        body.line(((x, y), (x - 4, y + rng.normal())), 0.6, (120 + shade, 84 + shade, 34, 150))
    body.oval(322, 182, 23, 22, DARK)
    for antenna in (((338, 172), (358, 150), (376, 152)), ((340, 190), (362, 184), (378, 196))):
        body.line(antenna, 2.5)
    body.oval(268, 180, 36, 33, (150, 104, 44, 255))
    for _ in range(2600):  # its fur
        far, angle, shade = np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi), int(rng.normal(0, 26))
        x, y, lies = 268 + 38 * far * np.cos(angle), 180 + 35 * far * np.sin(angle), rng.normal(angle, 0.5)
        body.line(((x, y), (x + 6 * np.cos(lies), y + 6 * np.sin(lies))), 0.9, (170 + shade, 120 + shade, 56, 255))
    wings = Layer()
    wings.oval(215, 123, 66, 18, (225, 225, 215, 120))
    wings.oval(184, 203, 56, 18, (225, 225, 215, 110), tilt=28)
    return wings.on(body.on(flower.on(leaves, blur=1.6), angle=-14))


def main() -> None:
    """Draw both, explain both, and lay them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run or a model folder of ants and bees")
    run = parser.parse_args().run
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        pictures = [Path(folder) / f"{name}.png" for name in ("ant", "bee")]
        for picture, draw in zip(pictures, (ant, bee), strict=True):
            draw(rng).convert("RGB").save(picture)
        subprocess.run([sys.executable, "-m", "frostline", "explain", run, *pictures, "--out", folder], check=True)
        overlays = [Image.open(picture.with_name(f"{picture.stem}.explained.png")) for picture in pictures]
        whole = Image.new("RGB", (sum(o.width for o in overlays) + 16, overlays[0].height), "white")
        for i, overlay in enumerate(overlays):
            whole.paste(overlay, (i * (overlay.width + 16), 0))
        whole.save(DOCS / "explained.jpg", quality=85)


if __name__ == "__main__":
    main()
