//! decides what may not leave the hub.
