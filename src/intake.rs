//! takes submissions in.
