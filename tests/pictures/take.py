"""Take the pictures of the doctor in docs/pictures: `tox -e pictures`. Not collected by pytest.

The doctor runs in a real pseudo-terminal, against a local sandbox-manager; a terminal emulator
(pyte) makes a screen of what it writes, and that is drawn with a monospaced font. Needs Linux or
macOS, and fontconfig's fc-match with a font that has a check mark, such as DejaVu Sans Mono.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pyte
from PIL import Image, ImageDraw, ImageFont

from kruise_autopatch_local import LocalManager
from support import pseudo_terminal

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"

COLUMNS, ROWS = 96, 120
FONT, SIZE = "DejaVu Sans Mono", 15
MARGIN = 18

BACKGROUND = "#16181d"
COLOURS = {
    "default": "#d7dae0",
    "green": "#6cc477",
    "brown": "#e3b341",  # what ECMA-48 calls yellow
    "red": "#ff6b63",
    "cyan": "#64c7d4",
}


def main() -> None:
    with LocalManager() as manager:
        right = manager.environment()
        wrong = {**right, "KRUISE_E2B_HTTP": "0", "E2B_API_KEY": f"{right['E2B_API_KEY']}\n"}
        del wrong["KRUISE_E2B_HTTPS"]
        for name, variables in (("doctor-good", right), ("doctor-bad", wrong)):
            picture = drawn(screen_of("kruise-autopatch doctor", variables))
            path = PICTURES / f"{name}.png"
            picture.quantize(method=Image.Quantize.FASTOCTREE).save(path, optimize=True)
            print(path, picture.size, path.stat().st_size)


def screen_of(command: str, variables: Mapping[str, str]) -> pyte.Screen:
    """What a terminal shows after a command."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": "/", "LANG": "C.UTF-8", "TERM": "xterm-256color"}
    output, _ = pseudo_terminal.written(
        command.split(), {**environment, **variables}, columns=COLUMNS, rows=ROWS
    )
    screen = pyte.Screen(COLUMNS, ROWS)
    pyte.ByteStream(screen).feed(f"$ {command}\r\n".encode() + output)
    return screen


def drawn(screen: pyte.Screen) -> Image.Image:
    """A screen as a picture, without the empty lines at its end."""
    regular, bold = font("Book"), font("Bold")
    width, height = round(regular.getlength("m")), round(SIZE * 1.4)
    used = max(row for row in range(ROWS) if screen.display[row].strip()) + 1
    size = (COLUMNS * width + 2 * MARGIN, used * height + 2 * MARGIN)
    picture = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for row in range(used):
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            if cell.data.strip():
                at = (MARGIN + column * width, MARGIN + row * height)
                face = bold if cell.bold else regular
                draw.text(at, cell.data, COLOURS[cell.fg], face)
    return picture


def font(style: str) -> ImageFont.FreeTypeFont:
    matching = ["fc-match", "--format=%{file}", f"{FONT}:style={style}"]
    found = subprocess.run(matching, capture_output=True, text=True, check=True).stdout
    return ImageFont.truetype(found, SIZE)


if __name__ == "__main__":
    main()
