"""Writes a few hundred images of Fashion-MNIST (Xiao, Rasul & Vollgraf 2017) as class folders of PNG files.

    python fashion_mnist_folder.py SOURCE TARGET [--train 40] [--val 20] [--size 96]

SOURCE holds the four .gz files of the data set. TARGET gets train/ and val/, each with one folder a class; the 28 x 28 grey
images are enlarged bilinearly to SIZE x SIZE and written as RGB.
"""
import argparse
import gzip
import os
import struct
import zlib

import numpy as np

CLASSES = {0: "tshirt", 1: "trouser", 2: "pullover", 5: "sandal", 7: "sneaker", 8: "bag"}


def read_idx(path):
    with gzip.open(path, "rb") as file:
        data = file.read()
    rank = data[3]
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def enlarge(image, size):
    """Bilinear with half-pixel centres."""
    height, width = image.shape

    def places(count):
        x = np.clip((np.arange(size) + 0.5) * count / size - 0.5, 0, count - 1)
        low = np.floor(x).astype(int)
        return low, np.minimum(low + 1, count - 1), x - low

    (y0, y1, fy), (x0, x1, fx) = places(height), places(width)
    image = image.astype(np.float64)
    rows = image[y0] * (1 - fy)[:, None] + image[y1] * fy[:, None]
    return np.rint(rows[:, x0] * (1 - fx) + rows[:, x1] * fx).astype(np.uint8)


def write_png(path, grey):
    height, width = grey.shape
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    lines = b"".join(b"\0" + rgb[y].tobytes() for y in range(height))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 6)) + chunk(b"IEND", b""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--train", type=int, default=40, help="images a class to train on (40)")
    parser.add_argument("--val", type=int, default=20, help="images a class to validate on (20)")
    parser.add_argument("--size", type=int, default=96, help="height and width in pixels (96)")
    arguments = parser.parse_args()
    for subset, prefix, count in [("train", "train", arguments.train), ("val", "t10k", arguments.val)]:
        images = read_idx(os.path.join(arguments.source, f"{prefix}-images-idx3-ubyte.gz"))
        labels = read_idx(os.path.join(arguments.source, f"{prefix}-labels-idx1-ubyte.gz"))
        for label, name in CLASSES.items():
            folder = os.path.join(arguments.target, subset, name)
            os.makedirs(folder, exist_ok=True)
            for number, index in enumerate(np.flatnonzero(labels == label)[:count]):
                write_png(os.path.join(folder, f"{name}{number:03d}.png"), enlarge(images[index], arguments.size))
    print(f"{arguments.target}: {arguments.train + arguments.val} images in each of {len(CLASSES)} classes")


if __name__ == "__main__":
    main()
