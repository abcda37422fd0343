//! decides which platforms a record belongs on.
