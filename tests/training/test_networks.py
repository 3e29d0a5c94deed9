"""What training relies on: a short sequence says the same as a padded one, and codes tell pictures apart."""

import numpy as np

from export import emoji
from training.evaluate import contact_sheet, nearest
from training.pictures import Entry
from training.text_encoder import picture_codes


def test_padding_does_not_change_what_the_last_token_says() -> None:
    """32 tokens, the last one at position 76, have the last context of all 77."""
    encoder = emoji.text_encoder(vocabulary_size=50, end_token=49, length=None)
    tokens = np.full((2, 77), 49)
    tokens[:, :6] = [[1, 7, 9, 3, 4, 49], [1, 8, 49, 49, 49, 49]]
    positions = np.tile(np.arange(77), (2, 1))
    whole = encoder.predict([tokens, positions], verbose=0)[:, -1]
    short_positions = np.tile(np.append(np.arange(31), 76), (2, 1))
    short = encoder.predict([tokens[:, :32], short_positions], verbose=0)[:, -1]
    np.testing.assert_allclose(short, whole, rtol=1e-4, atol=1e-5)
    assert np.abs(whole[0] - whole[1]).max() > 1e-3


def test_nearest_finds_the_picture_itself() -> None:
    """A noisy copy is nearest to what it was copied from."""
    random = np.random.default_rng(0)
    gallery = [Entry((str(i),), (), random.integers(0, 256, (128, 128, 3), np.uint8)) for i in range(4)]
    noisy = np.stack([np.clip(entry.pixels.astype(int) + 5, 0, 255).astype(np.uint8) for entry in gallery])
    assert nearest(noisy[[2, 0]], gallery)[:, 0].tolist() == [2, 0]


def test_picture_codes_have_variance_one_and_differ() -> None:
    """Shapes and colours each fill their part of the code."""
    random = np.random.default_rng(0)
    pixels = [np.kron(random.integers(0, 256, (8, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(160)]
    codes = picture_codes(tuple(Entry((str(i),), (), p) for i, p in enumerate(pixels)))
    assert codes.shape == (160, 128)
    np.testing.assert_allclose([codes[:, :96].std(), codes[:, 96:].std()], 1, rtol=1e-3)


def test_the_contact_sheet_holds_every_picture() -> None:
    """Nine pictures take two rows."""
    pictures = [np.full((128, 128, 3), shade, np.uint8) for shade in range(0, 225, 25)]
    sheet = np.asarray(contact_sheet(pictures, [str(i) for i in range(9)]))
    assert sheet.shape == (2 * 144, 8 * 128, 3)
    assert (sheet[60, 7 * 128 + 60] == 175).all()
    assert (sheet[144 + 60, 60] == 200).all()
