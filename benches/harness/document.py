"""docs/performance.md."""


def write(*_):
    raise NotImplementedError
