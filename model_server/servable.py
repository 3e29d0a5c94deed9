"""One loaded version of a model: a TF1 session, as TensorFlow Serving holds it, and a callable a signature."""

import copy
import gc
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_server.errors import InvalidArgumentError, LoadError, RunError
from model_server.signatures import DEFAULT_SIGNATURE, Signature
from model_server.tensorflow_runtime import config_pb2, tf

Run = Callable[..., Sequence[NDArray[Any]]]


@dataclass(frozen=True)
class SessionOptions:
    """How sessions run. Zero threads: TensorFlow chooses. Zero milliseconds: no limit."""

    intra_op_threads: int = 0
    inter_op_threads: int = 0
    timeout_milliseconds: int = 30_000


class Servable:
    """A SavedModel in a session of its own; `predict` may be called from many threads at once."""

    def __init__(self, session: Any, signature_protos: Mapping[str, Any], options: SessionOptions) -> None:
        self.signature_protos = signature_protos
        self._session = session
        self._options = options
        self._signatures = {name: Signature.from_proto(name, proto) for name, proto in signature_protos.items()}
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: str, options: SessionOptions) -> "Servable":
        """Load the SavedModel in folder `path` the way TensorFlow Serving does. Raises LoadError."""
        config = tf.ConfigProto(
            intra_op_parallelism_threads=options.intra_op_threads,
            inter_op_parallelism_threads=options.inter_op_threads,
            allow_soft_placement=True,
        )
        session = tf.Session(graph=tf.Graph(), config=config)
        try:
            meta_graph = tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING], path)
        except tf.errors.OpError as error:
            session.close()
            raise LoadError(error.message, RunError("", error.error_code).code) from error
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

    def predict(self, signature: Signature, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the signature. Raises RunError with TensorFlow's own message and code."""
        signature.check_predictable(set(inputs))
        run = self._run(signature)
        try:
            outputs = run(*(inputs[alias] for alias in signature.input_tensors))
        except tf.errors.OpError as error:
            raise RunError(error.message, error.error_code) from error
        return dict(zip(signature.output_tensors, map(_as_array, outputs), strict=True))

    def close(self) -> None:
        """Free the session and its memory. No request may be running."""
        self._runs.clear()
        self._session.close()
        self._session = None
        gc.collect()

    def _run(self, signature: Signature) -> Run:
        """The session's callable for a signature, made at its first use.

        `Session.make_callable` and `Session.run` check shapes against the placeholders, which TensorFlow Serving does
        not; the callable from options below them is what it uses itself.
        """
        with self._lock:
            run = self._runs.get(signature.name)
            if run is None:
                run = self._runs[signature.name] = self._make_callable(signature)
        return run

    def _make_callable(self, signature: Signature) -> Run:
        options = config_pb2.CallableOptions(
            feed=signature.input_tensors.values(),
            fetch=signature.output_tensors.values(),
            run_options=tf.RunOptions(timeout_in_ms=self._options.timeout_milliseconds),
        )
        run: Run = self._session._make_callable_from_options(options)
        return run


def _as_array(output: Any) -> NDArray[Any]:
    """TensorFlow hands a string of rank 0 over as bytes, and all else as arrays or numpy's scalars."""
    return np.asarray(output, dtype=object if isinstance(output, bytes) else None)
