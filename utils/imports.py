"""Imports Lightning without what it would bring along and we do not use."""

from lightning_utilities.core import imports

# torchmetrics, which Lightning imports, imports these where they are installed, for metrics of text, audio and images
# that nothing here asks for: ten seconds on a machine that has them all.
_UNUSED = {"librosa", "lpips", "matplotlib", "onnxruntime", "piq", "scipy", "torch_fidelity", "torchaudio"}
_UNUSED |= {"torchvision", "transformers"}


def import_lightning() -> None:
    """Imports pytorch_lightning; torchmetrics takes the packages of `_UNUSED` for not installed while it does."""
    check, is_installed = imports.RequirementCache.__bool__, imports.package_available

    def is_wanted(cache: imports.RequirementCache) -> bool:
        name = (cache.requirement or cache.module).split(">")[0].split("[")[0]
        return name not in _UNUSED and check(cache)

    imports.RequirementCache.__bool__ = is_wanted
    imports.package_available = lambda name: name not in _UNUSED and is_installed(name)
    try:
        import pytorch_lightning  # noqa: F401
    finally:
        imports.RequirementCache.__bool__, imports.package_available = check, is_installed
