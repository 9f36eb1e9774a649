"""Training, losses, evaluation and export: what is done with a model and a scene."""
