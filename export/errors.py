"""What can go wrong in an export.

ExportError
├── ChoiceError          options that do not go together, or an unknown family or size
├── WeightsError         a weights file is missing, damaged or could not be downloaded
├── RepositoryError      the model repository cannot take the export (version exists, models.config unreadable)
├── WriteError           the disk is full or cannot be written
└── VerificationError    the written model does not answer as the Keras network does
"""

from __future__ import annotations


class ExportError(Exception):
    """Base of every error that an export raises on purpose; its text is meant for the person who ran it."""


class ChoiceError(ExportError):
    """Options that do not go together, or a family, size or version that there is none of."""


class WeightsError(ExportError):
    """A weights file is missing, damaged, does not fit the network, or could not be downloaded."""


class RepositoryError(ExportError):
    """The model repository cannot take the export: the version exists or `models.config` cannot be read."""


class WriteError(ExportError):
    """The disk is full or cannot be written; nothing of the export stays behind."""


class VerificationError(ExportError):
    """A written SavedModel, loaded as TensorFlow Serving loads it, differs from its Keras network."""
