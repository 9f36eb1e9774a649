"""What benchmarks.ops times: operations of a training step, with inputs as such a step has them."""
