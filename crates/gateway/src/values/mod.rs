//! Leaf types of the configuration language: durations, sizes, rates, networks, secrets, templates, names.
