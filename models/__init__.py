"""What is learned: fields, encodings, renderers and the numerical operations below them."""
