"""scikit-learn's callbacks, official from 1.9 on; before that an estimator has none."""

from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class _NoCallbacks:
        """Stands where the context of a task stands, and calls nobody."""

        def subcontext(self, **_: Any) -> "_NoCallbacks":
            return self

        def call_on_fit_task_begin(self, **_: Any) -> None:
            pass

        def call_on_fit_task_end(self, **_: Any) -> bool:
            """Whether a callback wants the fit to stop."""
            return False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        def _init_callback_context(self, **_: Any) -> _NoCallbacks:
            return _NoCallbacks()

    def with_callbacks(method: Any) -> Any:
        return method


__all__ = ["CallbackSupportMixin", "with_callbacks"]
