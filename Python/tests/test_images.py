"""Image folders and images."""

import shutil

import numpy as np
import pytest

from png import write_png


@pytest.fixture
def folder(tmp_path):
    """Three classes of ten 12×10 images, the class in the red channel, the index in the green one."""
    generator = np.random.default_rng(0)
    for number, name in enumerate(("ant", "bee", "cow")):
        (tmp_path / name).mkdir()
        for index in range(10):
            pixels = generator.integers(0, 255, (12, 10, 3))
            pixels[..., 0], pixels[..., 1] = number * 100, index
            write_png(tmp_path / name / f"{index}.png", pixels)
    return tmp_path


def load(keras, folder, **options):
    options = {"image_size": (12, 10), "batch_size": 8, "seed": 1, "verbose": False, **options}
    return keras.utils.image_dataset_from_directory(folder, **options)


def listed(dataset):
    """(class in the image, index, label) of all images in order."""
    return [(round(float(x[0, 0, 0]) / 100), round(float(x[0, 0, 1])), int(y)) for xs, ys in dataset for x, y in zip(xs, ys)]


def test_batches(keras, folder, capsys):
    dataset = load(keras, folder, verbose=True)
    assert capsys.readouterr().out == "Found 30 files belonging to 3 classes.\n"
    assert dataset.class_names == ["ant", "bee", "cow"] and len(dataset) == 4
    batches = list(dataset)
    assert [x.shape for x, _ in batches] == [(8, 12, 10, 3)] * 3 + [(6, 12, 10, 3)]
    assert batches[0][0].dtype == np.float32 and batches[0][1].dtype == np.int32 and batches[0][1].shape == (8,)
    found = listed(dataset)
    assert all(red == label for red, _, label in found) and len(set(found)) == 30


def test_shuffling(keras, folder):
    dataset = load(keras, folder)
    first, second = listed(dataset), listed(dataset)
    assert first != second and sorted(first) == sorted(second)
    dataset.set_epoch(0)
    assert listed(dataset) == first
    assert listed(load(keras, folder)) == first and listed(load(keras, folder, seed=2)) != first
    in_order = listed(load(keras, folder, shuffle=False))
    assert in_order == sorted(in_order)


def test_validation_split(keras, folder):
    parts = [listed(load(keras, folder, validation_split=0.25, subset=subset)) for subset in ("training", "validation")]
    assert [len(p) for p in parts] == [23, 7] and not set(parts[0]) & set(parts[1])
    with pytest.raises(ValueError, match="go together"):
        load(keras, folder, subset="training")
    with pytest.raises(ValueError, match="seed"):
        load(keras, folder, validation_split=0.25, subset="training", seed=None)


def test_label_modes(keras, folder):
    categorical = load(keras, folder, label_mode="categorical", shuffle=False)
    _, y = next(iter(categorical))
    assert y.tolist() == [[1, 0, 0]] * 8
    with pytest.raises(ValueError, match="two classes"):
        load(keras, folder, label_mode="binary")
    shutil.rmtree(folder / "cow")
    binary = load(keras, folder, label_mode="binary", shuffle=False)
    assert np.concatenate([y for _, y in binary]).ravel().tolist() == [0.0] * 10 + [1.0] * 10


def test_fit_and_predict(keras, folder):
    train = load(keras, folder)
    model = keras.Sequential([
        keras.Input((12, 10, 3)), keras.layers.Rescaling(1 / 255), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    model.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    history = model.fit(train, epochs=15, validation_data=load(keras, folder, shuffle=False), verbose=0).history
    assert history["val_accuracy"][-1] > 0.9
    assert model.predict(load(keras, folder, shuffle=False), verbose=0).shape == (30, 3)
    assert model.evaluate(train, verbose=0)[1] == pytest.approx(history["val_accuracy"][-1])


def test_the_loops_agree(keras, folder):
    losses = {}
    for loop in ("fit", "custom"):
        keras.set_random_seed(3)
        train = load(keras, folder)
        inputs = keras.Input((12, 10, 3))
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
        model = keras.Model(inputs, keras.layers.Dense(3)(x))
        loss_fn, optimizer = keras.losses.SparseCategoricalCrossentropy(from_logits=True), keras.optimizers.Adam(0.01)
        if loop == "fit":
            model.compile(optimizer, loss_fn)
            losses[loop] = model.fit(train, epochs=2, verbose=0).history["loss"]
            continue
        losses[loop] = []
        for epoch in range(2):
            train.set_epoch(epoch)
            total = 0.0
            for images, labels in train:
                with keras.GradientTape() as tape:
                    value = loss_fn(labels, model(images))
                optimizer.apply_gradients(zip(tape.gradient(value, model.trainable_weights), model.trainable_weights))
                total += float(value) * len(labels)
            losses[loop].append(total / 30)
    assert [f"{v:.6f}" for v in losses["fit"]] == [f"{v:.6f}" for v in losses["custom"]]


def test_broken_images_are_skipped_and_named(keras, folder):
    (folder / "ant" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    whole = (folder / "bee" / "0.png").read_bytes()
    (folder / "bee" / "cut.png").write_bytes(whole[: len(whole) // 2])
    dataset = load(keras, folder)
    assert len(listed(dataset)) == 30
    skipped = dataset.info["skipped"]
    assert sorted(s["path"].rsplit("/", 1)[1] for s in skipped) == ["broken.png", "cut.png"] and all(s["reason"] for s in skipped)


def test_refusals(keras, folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    for place, statuses in ((folder / "absent", {5, 6}), (empty, {15})):
        with pytest.raises(keras.XferError) as refused:
            listed(load(keras, place))
        assert refused.value.status in statuses and str(place) in str(refused.value)
    for options, word in (({"color_mode": "grayscale"}, "color_mode"), ({"interpolation": "nearest"}, "interpolation")):
        with pytest.raises(keras.XferError, match=word) as refused:
            load(keras, folder, **options)
        assert refused.value.status == 8


def test_single_images(keras, folder):
    path = folder / "cow" / "7.png"
    image = keras.utils.load_img(path)
    assert image.shape == (12, 10, 3) and image.dtype == np.float32 and image[0, 0, 0] == 200 and image[0, 0, 1] == 7
    assert keras.utils.load_img(path, target_size=(6, 5)).shape == (6, 5, 3)
    array = keras.utils.img_to_array(image)
    assert array.shape == (12, 10, 3) and array is not image
    with pytest.raises(keras.XferError) as refused:
        keras.utils.load_img(folder / "absent.png")
    assert refused.value.status in (5, 6) and isinstance(refused.value, (ValueError, OSError))


def test_validation_steps_of_a_folder_are_the_same_in_every_epoch(keras, folder):
    dataset = load(keras, folder, shuffle=False, seed=None)
    model = keras.Sequential([keras.Input((12, 10, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(dataset, epochs=3, validation_data=dataset, validation_steps=1, verbose=0).history
    first = next(iter(dataset))
    assert history["val_loss"] == pytest.approx([model.evaluate(first[0].numpy(), first[1].numpy(), verbose=0)] * 3, rel=1e-5)
