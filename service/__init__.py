"""The online program: FastAPI, Redis, following the registry, draining events. A stranger to ``training``."""
