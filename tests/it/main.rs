//! Tests through the doors that users and platforms have: one binary, real servers.

mod connectors;
