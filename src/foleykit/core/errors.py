"""What a user can do wrong, and the exit code each mistake ends a command with."""

from __future__ import annotations


class FoleyError(Exception):
    """A mistake that its one-line message explains: what was wrong, what was expected, what to do."""

    exit_code = 1


class UsageError(FoleyError):
    """The request itself makes no sense: an unknown option value, an output that already exists."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration holds an unknown key or an impossible value."""


class InputError(UsageError):
    """A Python caller passed frames, waveforms or lengths that do not fit the model."""


class MediaError(FoleyError):
    """A file is missing, is not media, holds no picture, or nothing in it decodes."""

    exit_code = 3


class ModelError(FoleyError):
    """A model folder or preset is missing or incomplete."""

    exit_code = 4


class Interrupted(FoleyError):
    """The user stopped what can be gone on with; the message says how."""

    exit_code = 130


class MediaWarning(UserWarning):
    """A file decodes in part; the message says how much was used."""
