"""Every kind of record: what it holds, what writes it, and where it is shown.

What a probe, its callback, the data frames, the page, TensorBoard, `--help` and the README have to
agree on stands here, once. A record is a dict with `step`, `kind` and the fields of its kind.
"""

import dataclasses
import enum


class Layout(enum.Enum):
    """What a field holds one value for. The lists that name these things come with it."""

    RECORD = "record"
    LAYER = "layer"
    UNIT = "unit of a layer"
    STEP_SIZE = "step size"


# Lists of a record that say what the values of its other lists belong to -> their columns in a
# data frame, which has a row for each.
LABELS = {
    Layout.RECORD: {},
    Layout.LAYER: {"layers": "layer"},
    Layout.UNIT: {"layers": "layer", "units": "unit"},
    Layout.STEP_SIZE: {"step_sizes": "step_size"},
}


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a record.

    Attributes:
        name: In the record.
        layout: What it holds a value for.
        column: Its name in a data frame.
        is_list: Whether each value is itself a list: a tuple in a data frame, and no curve.
        band: Of values per step size: the name of the band in TensorBoard that their extremes are
            the edges of. Its line is the field of that name, or else their median.
        is_curve: Whether TensorBoard shows a single number over steps.
    """

    name: str
    layout: Layout = Layout.RECORD
    column: str = ""
    is_list: bool = False
    band: str = ""
    is_curve: bool = True

    def __post_init__(self):
        object.__setattr__(self, "column", self.column or self.name)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of record.

    Attributes:
        name: As in the record.
        title: Of its charts in TensorBoard.
        group: Part of the page that its figures belong to, one of `GROUPS`.
        fields: Its `Field`s, all numbers; the lists that name layers, units or step sizes are in
            `LABELS`.
        probe: Which of `--probes` writes it; empty for what every run records.
        measures: What it measures, in Markdown, for the README's table.
        source: Where the study shows it.
        cost: Of one measurement.
        summary: What it measures in few words, for `--help`.
        key: Field that tells the records of one step apart.
        tags: What TensorBoard's tags of it begin with; its name if empty. TensorBoard sorts tags,
            and opens the first two groups, those before a slash.
        has_charts: Whether TensorBoard's Custom Scalars tab draws its bands.
    """

    name: str
    title: str
    group: str
    fields: tuple[Field, ...]
    probe: str = ""
    measures: str = ""
    source: str = ""
    cost: str = ""
    summary: str = ""
    key: str = ""
    tags: str = ""
    has_charts: bool = False

    @property
    def layout(self):
        """That of its lists; RECORD where it has none."""
        layouts = {field.layout for field in self.fields} - {Layout.RECORD}
        return layouts.pop() if layouts else Layout.RECORD

    @property
    def labels(self):
        """Lists that say what the values of other lists belong to -> their columns."""
        return LABELS[self.layout]

    @property
    def columns(self):
        """Columns of numbers that its data frame has, even without a record."""
        scalars = [f.column for f in self.fields if f.layout is Layout.RECORD and not f.is_list]
        lists = [f.column for f in self.fields if f.layout is not Layout.RECORD and not f.is_list]
        labels = [column for column in self.labels.values() if column != "layer"]
        return (*scalars, *labels, *lists)


def _fields(names, layout=Layout.RECORD, **options):
    return tuple(Field(name, layout, **options) for name in names.split())


TRAINING = "Training"
LANDSCAPE = "Landscape"
SHIFT = "Covariate shift and activations"
CURVATURE = "Curvature, noise and weights"
THEORY = "Theory"
COST = "Cost"
# In the order of the page.
GROUPS = (TRAINING, LANDSCAPE, SHIFT, CURVATURE, THEORY, COST)

_LANDSCAPE = (
    *_fields("loss gradient_norm smoothness"),
    Field("losses", Layout.STEP_SIZE, "loss_after_step", band="loss"),
    Field("gradient_distances", Layout.STEP_SIZE, "gradient_distance", band="gradient_distance"),
)

_ALL = (
    Kind(
        "train",
        "Training",
        TRAINING,
        _fields("loss accuracy"),
        tags="1_training/",
        has_charts=True,
    ),
    Kind(
        "eval",
        "Evaluation",
        TRAINING,
        (
            Field("test_samples", is_curve=False),
            *_fields("loss accuracy loss_batch_statistics loss_population_statistics"),
        ),
        tags="1_training/test_",
    ),
    Kind(
        "landscape",
        "Along the gradient",
        LANDSCAPE,
        _LANDSCAPE,
        probe="landscape",
        measures="along the gradient, over a grid of `s`: the range of `L(theta - s g)`, that of "
        "`‖∇L(theta - s g) - g‖` (predictiveness), and the largest "
        "`‖∇L(theta - s g) - g‖ / (s ‖g‖)` (effective smoothness)",
        source="Fig 4, 10 to 13",
        cost="a gradient per `s`, and one",
        summary="loss and gradient along the gradient",
        tags="2_landscape/",
        has_charts=True,
    ),
    Kind(
        "ics",
        "Internal covariate shift",
        SHIFT,
        _fields("l2 cosine gradient_norm", Layout.LAYER),
        probe="ics",
        measures="internal covariate shift: for each layer `‖G - G'‖` and the cosine of `G` and "
        "`G'`, its gradient before and after the update of the layers *before* it",
        source="Fig 3, Definition 2.1",
        cost="3 training steps",
        summary="internal covariate shift",
        has_charts=True,
    ),
    Kind(
        "activations",
        "Activations",
        SHIFT,
        (
            *_fields(
                "mean variance mean_change variance_change mean_drift variance_drift", Layout.UNIT
            ),
            *_fields("quantiles histogram", Layout.UNIT, is_list=True),
            *_fields("edges quantile_levels", is_list=True),
        ),
        probe="activations",
        measures="the inputs of the non-linearity of a few units per layer: moments, quantiles, "
        "histogram, change since the last capture and since step 0",
        source="Fig 1c, 2, 6, 8, 9",
        cost="a gradient",
        summary="inputs of the non-linearities",
    ),
    Kind(
        "signal_propagation",
        "Signal propagation",
        SHIFT,
        _fields("squared_mean variance rank effective_rank", Layout.LAYER),
        probe="activations",
        measures="of all units: squared mean, variance, rank",
        source="not in it",
        cost="comes with `activations`",
        has_charts=True,
    ),
    Kind(
        "random_landscape",
        "Along random directions",
        LANDSCAPE,
        (*_LANDSCAPE, Field("direction")),
        probe="random_landscape",
        measures="as `landscape`, in random directions of the gradient's length",
        source="text",
        cost="as `landscape`, per direction",
        summary="loss and gradient along random directions",
        key="direction",
        has_charts=True,
    ),
    Kind(
        "curvature",
        "Curvature",
        CURVATURE,
        _fields("loss gradient_norm sharpness top_eigenvalue residual products edge_of_stability"),
        probe="curvature",
        measures="`g'Hg / ‖g‖²`, the top eigenvalue `λ` of the Hessian with its residual, "
        "`lr λ / 2`",
        source="not in it",
        cost="2.5 to 2.7 gradients per product, up to 20 products, and 4",
        summary="top eigenvalue of the Hessian",
    ),
    Kind(
        "gradient_noise",
        "Gradient noise",
        CURVATURE,
        _fields("batches gradient_norm trace top_eigenvalue share signal_to_noise"),
        probe="gradient_noise",
        measures="covariance of the gradients of the next 8 batches: trace, top eigenvalue, its "
        "share; signal-to-noise ratio",
        source="not in it",
        cost="8 gradients",
        summary="covariance of mini-batch gradients",
    ),
    Kind(
        "weights",
        "Weights",
        CURVATURE,
        _fields("weight_norm effective_lr angular_update radial_share gradient_norm", Layout.LAYER),
        probe="weights",
        measures="for each layer `‖W‖`, `lr / ‖W‖²`, the angle that the update turns W by, the "
        "radial share of the gradient, its norm",
        source="Lemma 4.5",
        cost="a gradient",
        summary="size and direction of the weights",
        has_charts=True,
    ),
    Kind(
        "batch_norm_identity",
        "Theorem 4.1 at every batch normalisation",
        THEORY,
        _fields("left right relative_difference gradient_ratio", Layout.LAYER),
        probe="batch_norm_identity",
        measures="both sides of Theorem 4.1 at each batch norm, and how much smaller it makes the "
        "gradient",
        source="Theorem 4.1",
        cost="a gradient",
        summary="both sides of Theorem 4.1",
        has_charts=True,
    ),
)

# Name -> kind.
KINDS = {kind.name: kind for kind in _ALL}
# The choices of `--probes`, in the order of the README.
PROBES = tuple(dict.fromkeys(kind.probe for kind in _ALL if kind.probe))


def of_probe(probe):
    """The kinds of records that a probe writes, its own first."""
    return tuple(kind for kind in _ALL if kind.probe == probe)
