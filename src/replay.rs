//! an operator's bulk act.
