"""Hooks around a snapshot of the execution environment (Lambda SnapStart).

    from snapshot_restore_py import register_before_snapshot, register_after_restore

Both work as a function, with arguments for the hook, and as a decorator. Hooks run before the snapshot in reverse order of
registration, and after the restore in order of registration.
"""

__all__ = ["register_before_snapshot", "register_after_restore"]

_before_snapshot_registry = []
_after_restore_registry = []


def register_before_snapshot(func, *args, **kwargs):
    """Calls `func(*args, **kwargs)` before the snapshot is taken. Returns `func`."""
    _before_snapshot_registry.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Calls `func(*args, **kwargs)` after a restore from the snapshot. Returns `func`."""
    _after_restore_registry.append((func, args, kwargs))
    return func


def get_before_snapshot():
    """The registered hooks as (function, args, kwargs), in order of registration."""
    return _before_snapshot_registry


def get_after_restore():
    """The registered hooks as (function, args, kwargs), in order of registration."""
    return _after_restore_registry
