//! when to try again.
