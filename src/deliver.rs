//! brings records to platforms.
