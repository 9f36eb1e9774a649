"""The kernels of small networks: tiles and how they are launched, and the network of an SDF."""
