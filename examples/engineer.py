"""A network of your own, in plain Keras and `model.fit`, measured by two callbacks, and a report.

    python examples/engineer.py

trains a small ResNet with and without batch norm on rendered digits and writes
`reports/engineer/index.html`. What a project has to add to its own training is in `train`: a fixed
batch, three callbacks, and a directory for each run.

What is measured: the loss that `fit` minimises, on the fixed batch, with the statistics of that
batch; every probe computes at copies of the weights, so that the training is the same as without.
What it does not say: look at the accuracy first. The network without batch norm trains slowly here;
as long as it is near chance its gradient is tiny, and that its landscape is flat is no merit. And
this is one seed each: verdicts need three of both arms, `--seeds=0,1,2`.
"""

import argparse

import keras

import bnkit


def residual_block(x, channels, stride, norm):
    """Two 3x3 convolutions beside a shortcut, which has a 1x1 convolution where shapes differ."""
    shortcut = x
    if stride != 1 or x.shape[-1] != channels:
        shortcut = keras.layers.Conv2D(channels, 1, strides=stride)(x)
    x = norm(keras.layers.Conv2D(channels, 3, strides=stride, padding="same")(x))
    x = keras.layers.ReLU()(x)
    x = norm(keras.layers.Conv2D(channels, 3, padding="same")(x))
    return keras.layers.ReLU()(keras.layers.Add()([x, shortcut]))


def small_resnet(input_shape, classes, width, with_bn):
    """Three stages of a block each, a global mean, and logits."""

    def norm(x):
        return keras.layers.BatchNormalization(momentum=0.9)(x) if with_bn else x

    inputs = keras.Input(input_shape)
    x = keras.layers.ReLU()(norm(keras.layers.Conv2D(width, 3, padding="same")(inputs)))
    for stage in range(3):
        x = residual_block(x, width * 2**stage, 1 if stage == 0 else 2, norm)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x), name="small_resnet")


def train(norm, seed, data, options):
    """Trains one model; everything that is measured lands in `runs/engineer/NORM-SEED`."""
    # Both arms start from the same seed; their weights are drawn in the same order.
    keras.utils.set_random_seed(seed)
    # Standardised, channel by channel, by the training images.
    x = data.train.x[: options.images].astype("float32")
    mean, deviation = x.mean((0, 1, 2)), x.std((0, 1, 2))
    x, x_test = (x - mean) / deviation, (data.test.x - mean) / deviation
    y, y_test = data.train.y[: options.images], data.test.y
    model = small_resnet(x.shape[1:], data.classes, options.width, norm == "bn")
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    batch = (x[:128], y[:128])
    run = bnkit.callbacks.RunDirectory(
        f"runs/engineer/{norm}-{seed}", norm=norm, seed=seed, classes=data.classes, overwrite=True
    )
    landscape = bnkit.callbacks.Landscape(batch=batch, every=options.every, write=run.write)
    shift = bnkit.callbacks.InternalCovariateShift(
        batch=batch, every=options.every, write=run.write
    )
    model.fit(
        *(x, y, options.batch_size, options.epochs),
        verbose=2,
        validation_data=(x_test, y_test),
        callbacks=[run, landscape, shift],
    )
    # Nothing is lost to the report: callbacks also hand out what they have measured.
    print(landscape.frame().groupby("step")["loss_after_step"].agg(["min", "max"]).tail(3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", default="glyphs", help="as for bnkit.main, such as cifar10")
    parser.add_argument("--images", type=int, default=10_000, help="how many to train on")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--every", type=int, default=25, help="steps between two measurements")
    parser.add_argument("--seeds", default="0", help="with commas between them")
    options = parser.parse_args()

    data = bnkit.data.load(options.dataset)
    for seed in map(int, options.seeds.split(",")):
        for norm in ("none", "bn"):
            train(norm, seed, data, options)
    print("report:", bnkit.report.write_report("runs/engineer", "reports/engineer"))


if __name__ == "__main__":
    main()
