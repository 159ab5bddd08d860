"""What is known: events, ids, the catalog, the customer state and the journey definition.

Pure: imports numpy, msgspec and pydantic, and nothing of ours outside this package.
"""
