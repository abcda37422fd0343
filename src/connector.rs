//! teaches the hub a platform from a folder.
