"""This machine: what it is, which device computes, in which number format, and how fast it multiplies matrices."""
