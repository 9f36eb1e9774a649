"""Errors for the person who must mend the input: the command line prints them as one line and exits with code 2."""


class InputError(Exception):
    """Something that the user gave is wrong; the message says where, what was expected, what came, what to do."""


class ConfigError(InputError):
    """A flag, a YAML file or a `key=value` override does not describe an experiment."""


class DataError(InputError):
    """A dataset on disk does not hold what its loader expects."""


class CheckpointError(InputError):
    """A checkpoint or run folder cannot be read, or belongs to another model."""


class OutputError(InputError):
    """Results cannot be written: the disk is full, or the folder is closed to us."""


class MissingPackageError(InputError):
    """A package that not every machine has a wheel of is needed and not installed."""


class CaptureError(InputError):
    """A video or photographs cannot be made into a dataset."""


class ReconstructionError(InputError):
    """Training left nothing that could be exported, for example an SDF without a zero crossing."""
