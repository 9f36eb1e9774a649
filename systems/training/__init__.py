"""The Lightning side: the system, the trainer, attempts, devices, what is printed."""
