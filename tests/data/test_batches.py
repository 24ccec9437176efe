import numpy as np
import pytest

from bnkit.data.batches import Batches, augmented
from bnkit.data.dataset import Split


def numbered_split(size):
    """Images that say which one they are."""
    x = np.zeros([size, 2, 3, 1], np.uint8) + np.arange(size, dtype=np.uint8)[:, None, None, None]
    return Split(x, np.arange(size, dtype=np.int32) + 100)


def test_batch_depends_on_seed_and_step_alone():
    split = numbered_split(23)
    forwards = Batches(split, 5, seed=3)
    expected = [forwards.indices(step) for step in range(20)]
    backwards = Batches(split, 5, seed=3)
    for step in reversed(range(20)):
        np.testing.assert_array_equal(backwards.indices(step), expected[step])
    other = Batches(split, 5, seed=4)
    assert any(not np.array_equal(other.indices(step), expected[step]) for step in range(4))


def test_an_epoch_uses_every_image_once():
    batches = Batches(numbered_split(24), 6, seed=0)
    assert batches.steps_per_epoch == 4
    epochs = [
        np.concatenate([batches.indices(epoch * 4 + step) for step in range(4)])
        for epoch in range(3)
    ]
    for order in epochs:
        np.testing.assert_array_equal(np.sort(order), np.arange(24))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[1], epochs[2])


def test_the_remainder_of_an_epoch_is_dropped():
    batches = Batches(numbered_split(23), 5, seed=0)
    assert batches.steps_per_epoch == 4
    for epoch in range(3):
        order = np.concatenate([batches.indices(epoch * 4 + step) for step in range(4)])
        assert len(np.unique(order)) == 20


@pytest.mark.parametrize("mapped", [False, True])
def test_stack_holds_the_batches_of_its_steps(tmp_path, mapped):
    split = numbered_split(23)
    if mapped:
        np.save(tmp_path / "x.npy", split.x)
        np.save(tmp_path / "y.npy", split.y)
        x, y = (np.load(tmp_path / name, mmap_mode="r") for name in ("x.npy", "y.npy"))
        split = Split(x, y)
    batches = Batches(split, 5, seed=1)
    x, y = batches.stack(2, 11)  # Epochs begin at the steps 4 and 8.
    assert (x.shape, x.dtype) == ((9, 5, 2, 3, 1), np.uint8)
    assert (y.shape, y.dtype) == ((9, 5), np.int32)
    for row, step in enumerate(range(2, 11)):
        chosen = batches.indices(step)
        np.testing.assert_array_equal(y[row], chosen + 100)
        np.testing.assert_array_equal(
            x[row], np.broadcast_to(chosen[:, None, None, None], (5, 2, 3, 1))
        )
    assert type(x) is type(y) is np.ndarray


def test_a_batch_may_be_the_whole_split():
    batches = Batches(numbered_split(4), 4, seed=0)
    np.testing.assert_array_equal(np.sort(batches.indices(7)), np.arange(4))


@pytest.mark.parametrize("batch_size", [0, -1, 24])
def test_batch_size_out_of_range(batch_size):
    with pytest.raises(ValueError, match=f"1 to 23.* Received: batch_size={batch_size}"):
        Batches(numbered_split(23), batch_size, seed=0)


def test_negative_seed_step_and_empty_stack():
    with pytest.raises(ValueError, match="Received: seed=-1"):
        Batches(numbered_split(23), 5, seed=-1)
    batches = Batches(numbered_split(23), 5, seed=0)
    with pytest.raises(ValueError, match="Received: step=-1"):
        batches.indices(-1)
    with pytest.raises(ValueError, match="Received: start=3, stop=3"):
        batches.stack(3, 3)


IMAGES = np.arange(4 * 16 * 8 * 3, dtype=np.uint16).reshape(4, 16, 8, 3).astype(np.uint8) + 1


def test_a_crop_shifts_within_an_eighth_and_fills_with_black():
    generator = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        for image, moved in zip(IMAGES, augmented(IMAGES, ("crop",), generator), strict=True):
            # Found by trying every shift, with the edges made by hand.
            shifts = [
                (down, right)
                for down in range(-2, 3)
                for right in range(-1, 2)
                if np.array_equal(moved, shifted(image, down, right))
            ]
            assert len(shifts) == 1
            seen |= set(shifts)
    assert seen == {(down, right) for down in range(-2, 3) for right in range(-1, 2)}


def shifted(image, down, right):
    result = np.zeros_like(image)
    for row in range(16):
        for column in range(8):
            if 0 <= row - down < 16 and 0 <= column - right < 8:
                result[row, column] = image[row - down, column - right]
    return result


def test_a_flip_mirrors_half_of_the_images():
    many = np.repeat(IMAGES[:1], 400, axis=0)
    flipped = augmented(many, ("flip",), np.random.default_rng(0))
    mirrored = [np.array_equal(one, IMAGES[0][:, ::-1]) for one in flipped]
    assert 160 < sum(mirrored) < 240
    rest = [one for one, is_mirrored in zip(flipped, mirrored, strict=True) if not is_mirrored]
    assert all(np.array_equal(one, IMAGES[0]) for one in rest)


def test_augmented_batches_follow_from_seed_and_step():
    split = Split(np.repeat(IMAGES, 5, axis=0), np.arange(20, dtype=np.int32))
    batches, same = (Batches(split, 5, seed=3, augment=("crop", "flip")) for _ in range(2))
    plain = Batches(split, 5, seed=3)
    x, y = batches.stack(0, 6)
    # However the steps are asked for: a resumed run sees what an uninterrupted one does.
    for step in (5, 0, 3):
        alone = same.stack(step, step + 1)
        np.testing.assert_array_equal(alone[0][0], x[step])
        np.testing.assert_array_equal(alone[1][0], plain.stack(step, step + 1)[1][0])
    assert not np.array_equal(x, plain.stack(0, 6)[0]) and np.array_equal(y, plain.stack(0, 6)[1])
    whole = Batches(split, 20, seed=3, augment=("flip",)).stack(0, 2)[0]
    assert not np.array_equal(whole[0], whole[1])


def test_only_images_are_augmented():
    vectors = Split(np.zeros((4, 3), np.float32), np.zeros(4, np.int32))
    with pytest.raises(ValueError, match=r"Only images .*samples of shape \(3,\)"):
        Batches(vectors, 2, seed=0, augment=("flip",))
