"""Fitting: from interactions to the arrays that retrievers read, one retriever a file."""
