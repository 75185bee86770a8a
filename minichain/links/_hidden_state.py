"""What recurrent links with one state share: keeping it from step to step, and moving it."""
from minichain.autograd import as_variable


class HiddenState:
    """Mixed into a Link.

    Attributes:
        h: output of the last step, (N, H) Variable; None after a reset.
    """

    def reset_state(self):
        """Forget the state: the next input begins new sequences."""
        self.h = None

    def set_state(self, h):
        """Set the state, (N, H)."""
        self.h = as_variable(h)
        self.h.to_device(self.device)

    def device_resident_moved(self):
        if self.h is not None:
            self.h.to_device(self.device)
