//! the HTTP door.
