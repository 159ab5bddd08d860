"""The HTTP surface: a module a noun. A route reads its input, calls one use case and writes the answer."""
