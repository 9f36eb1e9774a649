"""Poses on a turntable: solved from the motion, one axis and even steps, where a general mapper folds look-alikes."""
