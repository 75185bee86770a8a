"""Cases: every function, from the tables of its families."""

from . import (
    cases_activations,
    cases_arrays,
    cases_connections,
    cases_losses,
    cases_maths,
    cases_operators,
    cases_pooling,
)

CASES = (cases_operators.CASES + cases_maths.CASES + cases_arrays.CASES + cases_activations.CASES
         + cases_connections.CASES + cases_pooling.CASES + cases_losses.CASES)
