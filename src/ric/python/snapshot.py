# SnapStart: the hooks around a snapshot of this process. Compiled when the function is started for one.
import sys

from _lambda_ric import call_runtime, describe, log_error


def take_snapshot():
    """Runs the hooks before the snapshot, waits for the restore and runs the hooks after it."""
    # Who has registered a hook has imported the module.
    hooks = sys.modules.get("snapshot_restore_py")
    try:
        before = hooks.get_before_snapshot() if hooks else []
        while before:
            function, arguments, keywords = before.pop()
            function(*arguments, **keywords)
        call_runtime("restore/next", 200)
    except BaseException as error:
        description = describe(error, error.__traceback__)
        log_error(description)
        call_runtime("init/error", 202, "Runtime.BeforeSnapshotError", description)
        sys.exit(64)
    try:
        for function, arguments, keywords in hooks.get_after_restore() if hooks else []:
            function(*arguments, **keywords)
    except BaseException as error:
        description = describe(error, error.__traceback__)
        log_error(description)
        call_runtime("restore/error", 202, "Runtime.AfterRestoreError", description)
        sys.exit(65)
