//! logs and metrics.
