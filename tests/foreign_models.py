"""Models that nobody on bnkit wrote, built small: those of `keras.applications` and of the examples
in Keras's documentation, each with its batch and its loss by formulas.

Build them within `in_float64()`, so that they can be held against differences.
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf


class Foreign(NamedTuple):
    """A compiled model, and what can be said of it without bnkit.

    Attributes:
        model: A compiled and built model.
        batch: `(x, y)` or `(x, y, sample_weight)`.
        loss: `loss(model, *batch)`, the loss of a batch in training mode, by formulas.
        inputs: `inputs(x)`, the inputs of some non-linearities as a call in training mode has them:
            name of the weight layer, or where it ends -> `[..., units]`, or that and a mask.
        norms: The batch normalisations -> the mask of their inputs, or None.
        beside: Pairs of weight layers, by their names, of which the first reaches not the second.
        elsewhere: Paths of normalisations that Keras does not list where they are called -> the
            weight layers that they follow.
        own_loss: To be handed over as `loss=`; None where the compiled one can be seen.
    """

    model: keras.Model
    batch: tuple
    loss: Callable
    inputs: Callable
    norms: dict
    beside: tuple = ()
    elsewhere: dict = {}  # noqa: RUF012  nobody changes it
    own_loss: Callable | None = None


@contextlib.contextmanager
def in_float64():
    """Keras computes in float64, also its losses, while the block runs."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def _dense(layer, x):
    """What the activation of a dense layer gets."""
    return tf.linalg.matmul(x, layer.kernel.value) + layer.bias.value


def _pointwise(layer, x):
    """What the activation of a convolution by single pixels gets."""
    return tf.linalg.matmul(x, layer.kernel.value[0, 0]) + layer.bias.value


def _surprise(model, x, y):
    """The mean of `-log p` of the labels."""
    probabilities = model(x, training=True)
    return -tf.reduce_mean(tf.math.log(tf.gather(probabilities, y, batch_dims=1)))


def _norms(model):
    return [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]


def _outputs(model, names):
    """Those of some layers of a functional model, as a call in training mode has them."""
    part = keras.Model(model.input, {name: model.get_layer(name).output for name in names})
    return lambda x: part(x, training=True)


def _compiled(model, loss, learning_rate=0.05, **options):
    model.compile(keras.optimizers.SGD(learning_rate, momentum=0.5), loss, **options)
    return model


def _images(rng, samples=4):
    return rng.normal(size=(samples, 32, 32, 3)), rng.integers(0, 3, samples)


def densenet():
    """`keras.applications.DenseNet`, with one block in each of its four stages."""
    from keras.src.applications.densenet import DenseNet

    model = DenseNet([1, 1, 1, 1], input_shape=(32, 32, 3), weights=None, classes=3)
    x, y = _images(np.random.default_rng(1))
    # Where the non-linearities are that the weight layers lead to.
    before = {
        "conv1_conv": "conv1_bn",
        "conv2_block1_1_conv": "conv2_block1_1_bn",
        "conv2_block1_2_conv": "pool2_bn",
        "pool2_conv": "conv3_block1_0_bn",
        "conv5_block1_2_conv": "bn",
    }
    outputs = _outputs(model, [*before.values(), "avg_pool"])

    def inputs(x):
        found = outputs(x)
        head = _dense(model.get_layer("predictions"), found["avg_pool"])
        return {name: found[at] for name, at in before.items()} | {"predictions": head}

    _compiled(model, "sparse_categorical_crossentropy")
    return Foreign(model, (x, y), _surprise, inputs, dict.fromkeys(_norms(model)))


def efficientnet():
    """`keras.applications.EfficientNet` of two blocks: two random layers, sample weights."""
    from keras.src.applications.efficientnet import EfficientNet

    blocks = {
        "kernel_size": 3,
        "repeats": 2,
        "filters_in": 32,
        "filters_out": 24,
        "expand_ratio": 2,
        "id_skip": True,
        "strides": 2,
        "se_ratio": 0.25,
    }
    model = EfficientNet(
        0.25,
        1.0,
        32,
        blocks_args=[blocks],
        drop_connect_rate=0.5,
        input_shape=(32, 32, 3),
        weights=None,
        classes=3,
        name="efficientnet",
    )
    before = {
        "stem_conv": "stem_bn",
        "block1a_dwconv": "block1a_bn",
        # Before the next convolution, which comes without a non-linearity between them.
        "block1a_project_conv": "block1a_project_bn",
        # A random layer and the sum with a skip connection.
        "block1b_project_conv": "block1b_add",
        "top_conv": "top_bn",
    }
    inside = {
        "block1a_se_reduce": ("block1a_se_reshape", _pointwise),
        "block1a_se_expand": ("block1a_se_reduce", _pointwise),
        "predictions": ("top_dropout", _dense),
    }
    outputs = _outputs(model, [*before.values(), *(at for at, _ in inside.values())])

    def inputs(x):
        found = outputs(x)
        own = {name: of(model.get_layer(name), found[at]) for name, (at, of) in inside.items()}
        return {name: found[at] for name, at in before.items()} | own

    def loss(model, x, y, weight):
        logs = tf.math.log(model(x, training=True))
        smooth = 0.9 * y + 0.1 / 3
        return -tf.reduce_mean(weight * tf.reduce_sum(smooth * logs, -1))

    _compiled(model, keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    x, y = _images(np.random.default_rng(2))
    batch = x, np.eye(3)[y], np.array([0.5, 1.0, 2.0, 0.0])
    return Foreign(model, batch, loss, inputs, dict.fromkeys(_norms(model)))


class TransformerBlock(keras.layers.Layer):
    """That of keras.io/examples/nlp/text_classification_with_transformer, which passes masks on."""

    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = keras.layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential(
            [keras.layers.Dense(ff_dim, activation="relu"), keras.layers.Dense(embed_dim)]
        )
        self.layernorm1 = keras.layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = keras.layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = keras.layers.Dropout(rate)
        self.dropout2 = keras.layers.Dropout(rate)
        self.supports_masking = True

    def call(self, inputs):
        attn_output = self.att(inputs, inputs)
        attn_output = self.dropout1(attn_output)
        out1 = self.layernorm1(inputs + attn_output)
        ffn_output = self.ffn(out1)
        ffn_output = self.dropout2(ffn_output)
        return self.layernorm2(out1 + ffn_output)


class TokenAndPositionEmbedding(keras.layers.Layer):
    """That of the same example, with the mask of its tokens."""

    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = keras.layers.Embedding(vocab_size, embed_dim, mask_zero=True)
        self.pos_emb = keras.layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        maxlen = keras.ops.shape(x)[-1]
        positions = self.pos_emb(keras.ops.arange(0, maxlen, 1))
        return self.token_emb(x) + positions

    def compute_mask(self, x, mask=None):
        return self.token_emb.compute_mask(x)


def _tokens(rng, samples, steps, words):
    """Padded rows: of the full length, and down to a single word."""
    tokens = rng.integers(1, words, (samples, steps))
    for row, length in enumerate(np.linspace(1, steps, samples).astype(int)):
        tokens[row, length:] = 0
    return tokens


def transformer():
    """A classifier of padded sentences."""
    words = keras.Input((5,), dtype="int32")
    embedding, block = TokenAndPositionEmbedding(5, 7, 4), TransformerBlock(4, 2, 6)
    drop, hidden = keras.layers.Dropout(0.1), keras.layers.Dense(5, activation="relu")
    drop_hidden, head = keras.layers.Dropout(0.1), keras.layers.Dense(2, activation="softmax")
    x = keras.layers.GlobalAveragePooling1D()(block(embedding(words)))
    model = keras.Model(words, head(drop_hidden(hidden(drop(x)))))

    def inputs(x):
        mask = x != 0
        embedded = embedding(x)
        attended = block.dropout1(block.att(embedded, embedded), training=True)
        first = block.layernorm1(embedded + attended)
        dense, last = block.ffn.layers
        of_block = block.dropout2(last(dense(first)), training=True)
        of_block = block.layernorm2(first + of_block).numpy()
        mean = np.stack([of_block[i, row].mean(0) for i, row in enumerate(mask)])
        dropped = drop(mean, training=True)
        # The layers within the block have no mask: Keras forgets it at the sum of two tensors.
        return {
            embedding.token_emb.name: (embedded, mask),
            embedding.pos_emb.name: embedding.pos_emb(np.arange(5)),
            block.att._output_dense.name: (first, mask),
            dense.name: _dense(dense, first),
            last.name: dropped,
            hidden.name: _dense(hidden, dropped),
            head.name: _dense(head, drop_hidden(hidden(dropped), training=True)),
        }

    rng = np.random.default_rng(3)
    batch = _tokens(rng, 6, 5, 7), rng.integers(0, 2, 6)
    _compiled(model, "sparse_categorical_crossentropy")
    beside = ("query", "key"), ("query", "value"), ("key", "value")
    elsewhere = {block.layernorm1.path: "attention_output"}
    return Foreign(model, batch, _surprise, inputs, {}, beside, elsewhere)


class GAN(keras.Model):
    """That of keras.io/examples/generative/dcgan_overriding_train_step, and a `call` to judge."""

    def __init__(self, discriminator, generator, latent_dim):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.latent_dim = latent_dim
        self.seed_generator = keras.random.SeedGenerator(1337)

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn

    def call(self, images, training=False):
        return self.discriminator(images, training=training)

    def train_step(self, real_images):
        if isinstance(real_images, tuple):
            real_images = real_images[0]
        batch_size = tf.shape(real_images)[0]
        shape = (batch_size, self.latent_dim)
        noise = keras.random.normal(shape, seed=self.seed_generator)
        combined_images = tf.concat([self.generator(noise), real_images], axis=0)
        labels = tf.concat([tf.ones((batch_size, 1)), tf.zeros((batch_size, 1))], axis=0)
        with tf.GradientTape() as tape:
            d_loss = self.loss_fn(labels, self.discriminator(combined_images, training=True))
        grads = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(
            zip(grads, self.discriminator.trainable_weights, strict=True)
        )
        noise = keras.random.normal(shape, seed=self.seed_generator)
        misleading_labels = tf.zeros((batch_size, 1))
        with tf.GradientTape() as tape:
            predictions = self.discriminator(self.generator(noise))
            g_loss = self.loss_fn(misleading_labels, predictions)
        grads = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(zip(grads, self.generator.trainable_weights, strict=True))
        return {"d_loss": d_loss, "g_loss": g_loss}


def gan():
    discriminator = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(3, kernel_size=4, strides=2, padding="same"),
            keras.layers.LeakyReLU(negative_slope=0.2),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1, activation="sigmoid"),
        ],
        name="discriminator",
    )
    generator = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4 * 4 * 2),
            keras.layers.Reshape((4, 4, 2)),
            keras.layers.Conv2DTranspose(2, kernel_size=4, strides=2, padding="same"),
            keras.layers.LeakyReLU(negative_slope=0.2),
            keras.layers.Conv2D(1, kernel_size=5, padding="same", activation="sigmoid"),
        ],
        name="generator",
    )
    model = GAN(discriminator, generator, latent_dim=3)
    model.compile(
        keras.optimizers.SGD(0.05), keras.optimizers.SGD(0.01), keras.losses.BinaryCrossentropy()
    )
    rng = np.random.default_rng(4)
    batch = rng.uniform(size=(6, 8, 8, 1)), rng.integers(0, 2, (6, 1)).astype("float64")

    def loss(model, x, y):
        real = discriminator(x, training=True)
        return -tf.reduce_mean(y * tf.math.log(real) + (1 - y) * tf.math.log(1 - real))

    def inputs(x):
        convolution, *others, head = discriminator.layers
        first = after = convolution(x)
        for layer in others:
            after = layer(after, training=True)
        return {convolution.name: first, head.name: _dense(head, after)}

    norms = dict.fromkeys(_norms(discriminator))
    own_loss = keras.losses.BinaryCrossentropy()
    return Foreign(model, batch, loss, inputs, norms, own_loss=own_loss)


class TwoTowers(keras.Model):
    """As in Keras's recommender examples: a rating from the product of a user and an item."""

    def __init__(self, users, items, width=4):
        super().__init__()
        self.user_embedding = keras.layers.Embedding(users, width)
        self.user_dense = keras.layers.Dense(width, activation="tanh")
        self.item_embedding = keras.layers.Embedding(items, width)
        self.item_norm = keras.layers.BatchNormalization()
        self.item_dense = keras.layers.Dense(width)
        self.dot = keras.layers.Dot(axes=-1)

    def call(self, inputs, training=False):
        user = self.user_dense(self.user_embedding(inputs["user"]))
        item = self.item_norm(self.item_embedding(inputs["item"]), training=training)
        return self.dot([user, self.item_dense(item)])


def two_towers():
    model = TwoTowers(5, 7)
    rng = np.random.default_rng(5)
    x = {"user": rng.integers(0, 5, 8), "item": rng.integers(0, 7, 8)}
    model(x)

    def loss(model, x, y):
        return tf.reduce_mean((model(x, training=True)[:, 0] - y) ** 2)

    def inputs(x):
        user = model.user_embedding(x["user"])
        item = model.item_norm(model.item_embedding(x["item"]), training=True)
        pre = _dense(model.user_dense, user)
        product = tf.reduce_sum(tf.tanh(pre) * _dense(model.item_dense, item), -1, keepdims=True)
        return {
            model.user_embedding.name: user,
            model.user_dense.name: pre,
            model.item_embedding.name: item,
            # What follows it up to the end has no non-linearity.
            model.item_dense.name: product,
        }

    batch = x, rng.normal(1, 1, 8)
    user = model.user_embedding, model.user_dense
    item = model.item_embedding, model.item_dense
    beside = tuple((one.name, other.name) for one in user for other in item)
    return Foreign(_compiled(model, "mse"), batch, loss, inputs, {model.item_norm: None}, beside)


def tagger():
    """A recurrent network that labels each word of padded sentences."""
    words = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(7, 4, mask_zero=True)
    both = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))
    norm, head = keras.layers.BatchNormalization(), keras.layers.Dense(3)
    model = keras.Model(words, head(norm(both(embedding(words)))))
    rng = np.random.default_rng(6)
    x, y = _tokens(rng, 6, 5, 7), rng.integers(0, 3, (6, 5))

    def loss(model, x, y):
        logs = tf.nn.log_softmax(model(x, training=True))
        counted = tf.cast(x != 0, logs.dtype)
        return -tf.reduce_sum(counted * tf.gather(logs, y, batch_dims=2)) / tf.reduce_sum(counted)

    def inputs(x):
        mask = x != 0
        embedded = embedding(x)
        outputs = both(embedded)
        logits = head(norm(outputs, training=True, mask=mask))
        cells = [layer.cell.path for layer in (both.forward_layer, both.backward_layer)]
        return {
            embedding.name: (embedded, mask),
            cells[0]: (outputs[..., :3], mask),
            cells[1]: (outputs[..., 3:], mask),
            head.name: (logits, mask),
        }

    loss_of_fit = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    beside = ((both.forward_layer.cell.path, both.backward_layer.cell.path),)
    return Foreign(_compiled(model, loss_of_fit), (x, y), loss, inputs, {norm: x != 0}, beside)


MODELS = {
    make.__name__: make for make in (densenet, efficientnet, transformer, gan, two_towers, tagger)
}
