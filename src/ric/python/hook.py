# Configures logging right after a function has imported it: a function that does not log does not pay for it.
import sys


class _Loader:
    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        from _lambda_ric import set_up_logging

        set_up_logging()


def logging_spec(name, path, target):
    """The spec of the logging module, found as usual, whose loader also configures it."""
    finder = sys.modules["_lambda_ric"]
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    for other in sys.meta_path:
        spec = other.find_spec(name, path, target)
        if spec is not None:
            if spec.loader is not None:
                spec.loader = _Loader(spec.loader)
            return spec
    return None
