//! wakes the senders up.
