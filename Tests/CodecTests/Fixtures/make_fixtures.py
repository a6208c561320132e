"""Makes the small files the codec tests read. Needs h5py, numpy and pillow:

    python make_fixtures.py

`photo.rgb` holds what Pillow decodes from `photo.jpg`, byte for byte, and so on for the other images.
"""
import io
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

HERE = Path(__file__).parent


def picture(height, width):
    """A smooth picture with all kinds of colours; JPEG keeps it well."""
    y, x = np.mgrid[0:height, 0:width].astype("f8")
    planes = [np.sin(x / 7 + k) * np.cos(y / 5 - k) * 100 + 128 for k in range(3)]
    return np.clip(np.stack(planes, -1), 0, 255).astype("u1")


def save(name, data):
    (HERE / name).write_bytes(data)


def images():
    rgb = Image.fromarray(picture(37, 50))
    for name, image, options in [
        ("photo", rgb, dict(quality=90)),
        ("progressive", rgb, dict(quality=85, progressive=True)),
        ("grey", rgb.convert("L"), dict(quality=90)),
        ("cmyk", rgb.convert("CMYK"), dict(quality=90)),
    ]:
        out = io.BytesIO()
        image.save(out, "JPEG", **options)
        save(f"{name}.jpg", out.getvalue())
        save(f"{name}.rgb", np.asarray(Image.open(out).convert("RGB")).tobytes())
    small = Image.fromarray(picture(11, 13))
    alpha = small.copy()
    alpha.putalpha(Image.fromarray(np.arange(143, dtype="u1").reshape(11, 13)))
    for name, image in [
        ("colour", small),
        ("alpha", alpha),
        ("palette", small.quantize(16)),
        ("levels", small.convert("L")),
        ("bits", small.convert("1")),
    ]:
        out = io.BytesIO()
        image.save(out, "PNG")
        save(f"{name}.png", out.getvalue())
        # The colours as they are stored, whatever the alpha.
        save(f"{name}.rgb", np.asarray(Image.open(out).convert("RGBA"))[..., :3].tobytes())
    save_deep_png(picture(11, 13))


def save_deep_png(pixels):
    """16 bits a sample, and a gAMA chunk that says linear light: both to be taken as they are."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = pixels.shape
    samples = (pixels.astype(">u2") * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    body += chunk(b"gAMA", struct.pack(">I", 100000))
    save("deep.png", b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    save("deep.rgb", pixels.tobytes())


def h5():
    kernel = (np.arange(24, dtype="f4") / 8 - 1).reshape(2, 3, 4)
    for name, options, storage in [
        ("legacy.h5", dict(libver=("earliest", "latest")), {}),
        ("modern.h5", dict(libver=("v110", "v110"), track_order=True), dict(chunks=(1, 3, 2), compression="gzip", shuffle=True)),
    ]:
        with h5py.File(HERE / name, "w", **options) as file:
            file.attrs["layer_names"] = np.array([b"z_first", b"a_second"])
            file.attrs["keras_version"] = b"2.4.0"
            file.attrs["backend"] = "tensorflow"
            file.attrs["none"] = np.asarray([])
            file.attrs["number"] = 7
            file.attrs.create("texts", ["x", "h\u00e9llo", ""], dtype=h5py.string_dtype())
            for layer in ["z_first", "a_second"]:
                group = file.create_group(layer)
                group.attrs["weight_names"] = np.array([f"{layer}/kernel:0".encode(), f"{layer}/bias:0".encode()])
                group.create_dataset(f"{layer}/kernel:0", data=kernel, **storage)
                group.create_dataset(f"{layer}/bias:0", data=np.array([1.5, -2], "f2"))
            kinds = file.create_group("kinds")
            kinds["i8"] = np.array([-3, 4], "i1")
            kinds["u16"] = np.array([1, 65535], "u2")
            kinds["u32"] = np.array([1, 2**32 - 1], "u4")
            kinds["big"] = np.array([1.5, -2], ">f4")
            kinds["f64"] = np.float64(3.25)
            kinds["bool"] = np.array([True, False])
            kinds["none"] = np.zeros((0, 3), "f4")
            kinds["text"] = np.array([b"a", b"b"])
            file["soft"] = h5py.SoftLink("/kinds/i8")
            file["dangling"] = h5py.SoftLink("/nowhere")
            file["elsewhere"] = h5py.ExternalLink("modern.h5", "/kinds/i8")


def archive():
    with zipfile.ZipFile(HERE / "model.zip", "w") as file:
        for name, data, method in [
            ("metadata.json", b'{"keras_version": "3.9.0"}', zipfile.ZIP_STORED),
            ("config.json", b"a" * 5000, zipfile.ZIP_DEFLATED),
            ("assets/", b"", zipfile.ZIP_STORED),
        ]:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = method
            file.writestr(info, data)


images()
h5()
archive()
