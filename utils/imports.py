"""Imports Lightning without what it would bring along and we do not use."""

from lightning_utilities.core.imports import RequirementCache

# torchmetrics, which Lightning imports, imports these where they are installed, for metrics of text, audio and images
# that nothing here asks for: ten seconds on a machine that has them all.
_UNUSED = {"librosa", "lpips", "matplotlib", "onnxruntime", "piq", "torch_fidelity", "torchaudio", "torchvision"}
_UNUSED |= {"transformers"}


def import_lightning() -> None:
    """Imports pytorch_lightning; torchmetrics takes the packages of `_UNUSED` for not installed while it does."""
    check = RequirementCache.__bool__

    def is_wanted(cache: RequirementCache) -> bool:
        name = (cache.requirement or cache.module).split(">")[0].split("[")[0]
        return name not in _UNUSED and check(cache)

    RequirementCache.__bool__ = is_wanted
    try:
        import pytorch_lightning  # noqa: F401
    finally:
        RequirementCache.__bool__ = check
