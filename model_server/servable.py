"""One loaded version of a model: a TF1 session, as TensorFlow Serving holds it, which runs its signatures."""

import copy
import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model_server.errors import InvalidArgumentError, LoadError, RunError, code_name
from model_server.metrics import Stopwatch
from model_server.serving_metrics import ServingMetrics
from model_server.session import Session
from model_server.signatures import DEFAULT_SIGNATURE, Signature
from model_server.tensorflow_runtime import pywrap_tf_session, tf


@dataclass(frozen=True)
class SessionOptions:
    """How sessions run. Zero threads: TensorFlow chooses. Zero milliseconds: no limit."""

    intra_op_threads: int = 0
    inter_op_threads: int = 0
    timeout_milliseconds: int = 30_000


class Predictor(Protocol):
    """What answers the requests for a version: a Servable, or one with batching around it."""

    @property
    def signature_protos(self) -> Mapping[str, Any]:
        """The signatures as they are in the SavedModel, by name."""

    def signature(self, name: str) -> Signature:
        """The signature of this name."""

    def predict(
        self, signature: Signature, inputs: Mapping[str, NDArray[Any]], *, timeout_milliseconds: int | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run the signature."""

    def close(self) -> None:
        """Free the session and its memory."""


class Servable:
    """A SavedModel in a session of its own; `predict` may be called from many threads at once."""

    def __init__(self, session: Any, signature_protos: Mapping[str, Any], options: SessionOptions) -> None:
        self.signature_protos = signature_protos
        self._session = session
        self._timeout_milliseconds = options.timeout_milliseconds
        self._signatures = {name: Signature.from_proto(name, proto) for name, proto in signature_protos.items()}
        self._found: dict[str, tuple[list[Any], list[Any]]] = {}

    @classmethod
    def load(cls, path: str, options: SessionOptions, metrics: ServingMetrics) -> "Servable":
        """Load the SavedModel in folder `path` the way TensorFlow Serving does. Raises LoadError."""
        watch, outcome = Stopwatch(), "fail"
        try:
            servable = cls._load(path, options, metrics)
            outcome = "success"
        finally:
            metrics.load_attempt_count.add(1, path, outcome)
            metrics.load_latency.add(watch.microseconds, path)
        return servable

    @classmethod
    def _load(cls, path: str, options: SessionOptions, metrics: ServingMetrics) -> "Servable":
        config = tf.ConfigProto(
            intra_op_parallelism_threads=options.intra_op_threads,
            inter_op_parallelism_threads=options.inter_op_threads,
            allow_soft_placement=True,
        )
        session = Session(config, metrics)
        try:
            meta_graph = session.restore(path)
        except tf.errors.OpError as error:
            session.close()
            raise LoadError(error.message, code_name(error.error_code)) from error
        except OSError as error:
            session.close()
            raise LoadError(str(error), "NOT_FOUND") from error
        except Exception as error:  # a damaged file ends in whatever error its reader has
            session.close()
            raise LoadError(f"{type(error).__name__}: {error}", "INTERNAL") from error
        # Copies, because each part of a protobuf message keeps the whole of it in memory: here the graph.
        protos = {name: copy.deepcopy(proto) for name, proto in meta_graph.signature_def.items()}
        return cls(session, protos, options)

    def signature(self, name: str) -> Signature:
        """The signature, `serving_default` if `name` is empty. Raises InvalidArgumentError if there is none."""
        wanted = name or DEFAULT_SIGNATURE
        try:
            return self._signatures[wanted]
        except KeyError:
            raise InvalidArgumentError(f'Serving signature name: "{wanted}" not found in signature def') from None

    def predict(
        self, signature: Signature, inputs: Mapping[str, NDArray[Any]], *, timeout_milliseconds: int | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run the signature, within the options' time if no other is given; 0: no limit.

        Raises RunError with TensorFlow's own message and code.
        """
        signature.check_predictable(set(inputs))
        signature.check_shapes(inputs)
        feeds, fetches = self._tensors(signature)
        feed = dict(zip(feeds, (inputs[alias] for alias in signature.input_tensors), strict=True))
        timeout = self._timeout_milliseconds if timeout_milliseconds is None else timeout_milliseconds
        run_options = tf.RunOptions(timeout_in_ms=max(0, timeout)).SerializeToString()
        buffer = pywrap_tf_session.TF_NewBufferFromString(run_options)
        try:
            # `Session.run` would check shapes against the placeholders, which TensorFlow Serving does not: this is the
            # call below it. (A callable would not do either: its time limit is fixed.)
            outputs = self._session._call_tf_sessionrun(buffer, feed, fetches, [], None)
        except tf.errors.OpError as error:
            raise RunError(error.message, error.error_code) from error
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)
        return dict(zip(signature.output_tensors, map(_as_array, outputs), strict=True))

    def close(self) -> None:
        """Free the session and its memory. No request may be running."""
        self._session.close()
        self._session = None
        gc.collect()

    def _tensors(self, signature: Signature) -> tuple[list[Any], list[Any]]:
        """The graph's tensors behind a signature's inputs and outputs."""
        found = self._found.get(signature.name)
        if found is None:
            graph = self._session.graph
            feeds, fetches = (
                [graph.get_tensor_by_name(name)._as_tf_output() for name in names.values()]
                for names in (signature.input_tensors, signature.output_tensors)
            )
            found = self._found[signature.name] = (feeds, fetches)
        return found


def _as_array(output: Any) -> NDArray[Any]:
    """TensorFlow hands a string of rank 0 over as bytes, and all else as arrays or numpy's scalars."""
    return np.asarray(output, dtype=object if isinstance(output, bytes) else None)
