"""Small SavedModels for the tests: those that the recorded exchanges talk to, and a few for what no record shows."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

Function = Any
Outputs = dict[str, Any]


class Holder(tf.Module):  # type: ignore[misc]
    """Signatures by name, each a function of named tensors, with the variables they use."""

    def __init__(self, **variables: Any) -> None:
        super().__init__()
        self.kept = [variables[name] for name in sorted(variables)]
        self.functions: dict[str, Function] = {}

    def add(self, name: str, function: Callable[..., Outputs], **inputs: tuple[Sequence[int | None], Any]) -> "Holder":
        specs = [tf.TensorSpec(shape, dtype, alias) for alias, (shape, dtype) in inputs.items()]
        self.functions[name] = tf.function(function, input_signature=specs)
        return self

    def save(self, folder: Path) -> None:
        tf.saved_model.save(self, str(folder), signatures=self.functions)


def linear(scale: float, shift: float) -> Holder:
    """x → scale·x + shift."""
    slope, offset = tf.Variable(scale), tf.Variable(shift)

    def predict(x: Any) -> Outputs:
        return {"y": slope * x + offset}

    return Holder(scale=slope, shift=offset).add("serving_default", predict, x=([None], tf.float32))


def matrix() -> Holder:
    """[batch, 2] → [batch, 3]."""
    kernel = tf.Variable([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

    def predict(x: Any) -> Outputs:
        return {"y": tf.matmul(x, kernel)}

    return Holder(kernel=kernel).add("serving_default", predict, x=([None, 2], tf.float32))


def several() -> Holder:
    """Three inputs of three types and three outputs; and a signature one output of which is a scalar."""

    def predict(a: Any, n: Any, flag: Any) -> Outputs:
        total = tf.reduce_sum(a, axis=1) + tf.cast(n, tf.float32)
        return {"total": total, "doubled": n * 2, "inverted": tf.logical_not(flag)}

    def reduced(a: Any) -> Outputs:
        return {"mean": tf.reduce_mean(a), "rows": a}

    holder = Holder().add(
        "serving_default", predict, a=([None, 2], tf.float32), n=([None], tf.int32), flag=([None], tf.bool)
    )
    return holder.add("reduced", reduced, a=([None, 2], tf.float32))


def raw_bytes() -> Holder:
    """Little-endian float32 as bytes: read, summed into text, and echoed."""

    def predict(raw: Any) -> Outputs:
        values = tf.io.decode_raw(raw, tf.float32)
        label = tf.strings.as_string(tf.reduce_sum(values, axis=1), precision=3)
        return {"values": values, "label": label, "echo_bytes": raw}

    def echo(raw: Any) -> Outputs:
        return {"echo_bytes": tf.identity(raw)}

    strings = ([None], tf.string)
    return Holder().add("serving_default", predict, raw=strings).add("echo", echo, raw=strings)


def echo(**types: Any) -> Holder:
    """Every input comes back under its own name."""

    def predict(*tensors: Any) -> Outputs:
        return {name: tf.identity(tensor) for name, tensor in zip(types, tensors, strict=True)}

    return Holder().add("serving_default", predict, **{name: ([None], dtype) for name, dtype in types.items()})


def idle_diffusion_model(latent_shape: tuple[int, ...], context_shape: tuple[int, ...]) -> Holder:
    """The signatures of a diffusion model, which give back what they were given."""

    def predict(latent: Any, timestep: Any, context: Any) -> Outputs:
        return {"noise": tf.identity(latent)}

    def denoise(latent_bytes: Any, x0_bytes: Any, *others: Any) -> Outputs:
        return {"latent_bytes": tf.identity(latent_bytes), "x0_bytes": tf.identity(x0_bytes)}

    raw, rows = ([None], tf.string), ([None], tf.float32)
    holder = Holder().add(
        "serving_default",
        predict,
        latent=([None, *latent_shape], tf.float32),
        timestep=([None], tf.int32),
        context=([None, *context_shape], tf.float32),
    )
    return holder.add(
        "denoise",
        denoise,
        latent_bytes=raw,
        x0_bytes=raw,
        context_bytes=raw,
        unconditional_context_bytes=raw,
        guidance_scale=rows,
        timesteps=([None, None], tf.int32),
        coefficients=([None, None, 5], tf.float32),
    )


def logarithm() -> Holder:
    """log x: -Infinity at 0, NaN below."""

    def predict(x: Any) -> Outputs:
        return {"y": tf.math.log(x)}

    return Holder().add("serving_default", predict, x=([None], tf.float32))


def image() -> Holder:
    """[batch, 2, 2, 3] float → uint8."""

    def predict(latent: Any) -> Outputs:
        return {"image": tf.cast(tf.clip_by_value(latent, 0.0, 255.0), tf.uint8)}

    return Holder().add("serving_default", predict, latent=([None, 2, 2, 3], tf.float32))


def convolution() -> Holder:
    """[batch, 4, 4, 3] → [batch, 4, 4, 2], by a kernel that would end the process over other shapes."""
    kernel = tf.Variable(tf.ones([3, 3, 3, 2]))

    def predict(x: Any) -> Outputs:
        return {"y": tf.nn.conv2d(x, kernel, 1, "SAME")}

    return Holder(kernel=kernel).add("serving_default", predict, x=([None, 4, 4, 3], tf.float32))


def scored() -> Holder:
    """A signature that could classify: serialized examples in, a score each out."""

    def predict(inputs: Any) -> Outputs:
        return {"scores": tf.zeros([tf.size(inputs), 1])}

    return Holder().add("serving_default", predict, inputs=([None], tf.string))


def slow() -> Holder:
    """Counts to the largest of x, one step at a time, and gives x back."""

    def predict(x: Any) -> Outputs:
        counted = tf.while_loop(lambda i: i < tf.reduce_max(x), lambda i: [i + 1], [0], parallel_iterations=1)
        return {"y": x + 0 * counted[0]}

    return Holder().add("serving_default", predict, x=([None], tf.int32))


def unhurried(scale: float, shift: float) -> Holder:
    """x → scale·x + shift, in about two milliseconds."""

    def predict(x: Any) -> Outputs:
        counted = tf.while_loop(lambda i: i < 200, lambda i: [i + 1], [0], parallel_iterations=1)
        return {"y": scale * x + shift + 0 * tf.cast(counted[0], tf.float32)}

    return Holder().add("serving_default", predict, x=([None], tf.float32))


def counted() -> Holder:
    """[batch, k] → twice that, and for each row how many rows ran together; negative numbers fail the run."""

    def predict(x: Any) -> Outputs:
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, message="negative")]):
            rows = tf.shape(x)[0]
            return {"y": 2 * x, "rows": tf.fill([rows], rows)}

    def text(s: Any) -> Outputs:
        return {"s": tf.strings.join([s, "!"])}

    def mean(x: Any) -> Outputs:
        return {"mean": tf.reduce_mean(x)}

    holder = Holder().add("serving_default", predict, x=([None, None], tf.float32))
    holder.add("text", text, s=([None], tf.string))
    return holder.add("mean", mean, x=([None, None], tf.float32))


def write_warmup(version: Path, *records: bytes) -> None:
    """Put warm-up records next to a SavedModel."""
    folder = version / "assets.extra"
    folder.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as writer:
        for record in records:
            writer.write(record)


def warmup_record(signature_name: str = "serving_default", **inputs: Any) -> bytes:
    """A PredictionLog of one predict request."""
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = signature_name
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    record: bytes = log.SerializeToString()
    return record


CONFIG = """\
model_config_list {{
  {models}
  config {{
    name: "versions" base_path: "versions" model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 1 versions: 3 }} }}
    version_labels {{ key: "stable" value: 1 }}
    version_labels {{ key: "canary" value: 3 }}
  }}
}}
"""


def write_all(root: Path) -> Path:
    """Write every model under `root`, and a model config file with paths relative to it, whose path comes back."""
    models = {
        "linear": linear(0.5, 2.0),
        "matrix": matrix(),
        "several": several(),
        "raw_bytes": raw_bytes(),
        "numbers": echo(i8=tf.int8, u8=tf.uint8, i64=tf.int64, f64=tf.float64, text=tf.string),
        "not_finite": logarithm(),
        "image": image(),
        "unsigned": echo(u32=tf.uint32, u64=tf.uint64, i16=tf.int16),
        "half": echo(h=tf.float16),
        "brain": echo(b=tf.bfloat16),
        "short": echo(s=tf.uint16),
        "complex": echo(c=tf.complex64),
        "convolution": convolution(),
        "scored": scored(),
        "slow": slow(),
    }
    for name, holder in models.items():
        holder.save(root / name / "1")
    for number in (1, 2, 3):
        linear(float(number), 10.0 * number).save(root / "versions" / str(number))
    entries = "\n  ".join(f'config {{ name: "{n}" base_path: "{n}" model_platform: "tensorflow" }}' for n in models)
    config = root / "models.config"
    config.write_text(CONFIG.format(models=entries))
    return config


def copy_version(source: Path, target: Path) -> None:
    """Put a version in place at once, as an export does: copied beside, then renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent / f".{target.name}.tmp"
    shutil.copytree(source, beside)
    beside.rename(target)
