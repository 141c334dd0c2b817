"""Images as cameras, scanners and broken downloads leave them."""

from __future__ import annotations

import struct
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from made import picture
from PIL import Image

from headstart.data import image
from headstart.data.checked import UnusableInput


def reason_of(file: Path) -> str:
    with pytest.raises(UnusableInput) as caught:
        image.check(str(file))
    with pytest.raises(UnusableInput):
        image.load(str(file))
    return str(caught.value)


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_a_truncated_file_is_refused(tmp_path, ending):
    whole = tmp_path / f"whole{ending}"
    picture(1).save(whole)
    part = tmp_path / f"part{ending}"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert reason_of(part).startswith("damaged or truncated image")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.png", b"", "empty file"),
        ("text.png", b"not a picture", "not a readable image: Pillow does not know the content of this .png"),
        ("photo.heic", b"\0\0\0\x18ftypheic" + bytes(40), "HEIC needs the plug-in pillow-heif"),
        ("header.bmp", b"BM" + struct.pack("<IHHII", 60, 0, 0, 54, 40) + bytes(10), "image"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    assert reason in reason_of(tmp_path / name)


def test_missing_files_and_folders(tmp_path):
    (tmp_path / "folder.png").mkdir()
    assert reason_of(tmp_path / "gone.png").startswith("file not found")
    assert reason_of(tmp_path / "folder.png").startswith("file not found")
    assert reason_of(tmp_path / ("n" * 300 + ".png")).startswith("file not found")


def test_random_damage_never_escapes_as_another_error(tmp_path):
    rng = np.random.default_rng(0)
    for ending in (".png", ".jpg", ".gif", ".tif", ".webp", ".bmp", ".ppm"):
        whole = tmp_path / f"whole{ending}"
        picture(2, (24, 16)).save(whole)
        content = np.frombuffer(whole.read_bytes(), np.uint8)
        for trial in range(25):
            damaged = content.copy()
            damaged[rng.integers(0, min(200, len(damaged)), 6)] = rng.integers(0, 256, 6)
            file = tmp_path / f"{trial}{ending}"
            file.write_bytes(damaged.tobytes())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    image.check(str(file))
                except UnusableInput as fault:
                    assert fault.reason


def test_exif_orientation_is_applied_to_the_pixels(tmp_path):
    upright = picture(3)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter, clockwise
    upright.rotate(90, expand=True).save(tmp_path / "a.png", exif=exif)
    loaded = image.load(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(np.asarray(loaded), np.asarray(upright))


@pytest.mark.parametrize("mode", ["P", "CMYK", "L", "1", "YCbCr", "LA", "RGBA"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    file = tmp_path / "a.tif" if mode in ("CMYK", "YCbCr") else tmp_path / "a.png"
    picture(4).convert(mode).save(file)
    loaded = image.load(str(file))
    assert loaded.mode == "RGB"
    wanted = np.asarray(picture(4).convert("L" if mode in ("L", "LA") else "RGB").convert("RGB"), dtype=int)
    if mode not in ("1", "P"):  # these lose colours on purpose
        assert np.abs(np.asarray(loaded, dtype=int) - wanted).mean() < 12


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_put_on_white(tmp_path, mode):
    Image.new(mode, (8, 8), (0,) * len(mode)).save(tmp_path / "a.png")
    assert image.load(str(tmp_path / "a.png")).getpixel((0, 0)) == (255, 255, 255)
    indexed = Image.new("P", (8, 8), 1)
    indexed.putpalette([0, 0, 0, 255, 0, 0])
    indexed.save(tmp_path / "p.png", transparency=1)
    assert image.load(str(tmp_path / "p.png")).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_sixteen_bits_are_scaled_by_their_own_range_and_said(tmp_path, ending):
    values = np.linspace(1000, 5000, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / f"a{ending}")
    pixels = np.asarray(image.load(str(tmp_path / f"a{ending}")))
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert image.check(str(tmp_path / f"a{ending}")).notes == ("16-bit or float images: scaled by their own range",)


def test_a_float_tiff_with_nan_is_refused(tmp_path):
    values = np.full((8, 8), np.nan, np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert "NaN" in reason_of(tmp_path / "a.tif")


def test_the_first_frame_of_an_animation_is_used_and_said(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert image.load(str(tmp_path / "a.gif")).getpixel((0, 0)) == (255, 0, 0)
    assert "first frame" in image.check(str(tmp_path / "a.gif")).notes[0]


def test_a_single_pixel_is_too_small(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "a.png")
    with pytest.raises(UnusableInput, match="too small: 1x1"):
        image.check(str(tmp_path / "a.png"))


@pytest.mark.parametrize("limit", [4000, 1000])  # Pillow only warns at one to two times its limit
def test_a_decompression_bomb_is_refused_in_every_thread(tmp_path, monkeypatch, limit):
    picture(5, (96, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    reasons: list[str] = []

    def read() -> None:
        try:
            image.load(str(tmp_path / "a.png"))
        except UnusableInput as fault:
            reasons.append(fault.reason)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert reasons == ["image too large"] * 8


def test_a_wrong_ending_is_no_fault(tmp_path):
    picture(6).save(tmp_path / "a.png", "JPEG")
    assert image.load(str(tmp_path / "a.png")).size == (96, 64)


def test_the_sketch_is_the_brightness_of_each_sixteenth():
    halves = Image.new("RGB", (160, 160), "white")
    halves.paste("black", (0, 0, 80, 160))
    grid = image.sketch(halves).reshape(16, 16)
    np.testing.assert_allclose(grid[:, :7], 0, atol=1)
    np.testing.assert_allclose(grid[:, 9:], 255, atol=1)
