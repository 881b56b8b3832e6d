//! What runs: a configuration compiled, swapped in one step.
