//! What a message says: a JSON array of delivery ids, nothing else.

use crate::record::DeliveryId;

/// Ids in one of our messages. Small enough that several processes share a backlog, large
/// enough that the broker's work per id does not count.
pub(super) const IDS_MAX: usize = 32;
/// Ids and characters beyond which a message is not ours.
const FOREIGN_IDS: usize = 1_000;
const FOREIGN_LENGTH: usize = 64;

/// Writes a message.
pub(super) fn write(ids: &[DeliveryId]) -> Vec<u8> {
    serde_json::to_vec(ids).expect("texts are always JSON")
}

/// Reads a message; `None` when it is not one of ours.
pub(super) fn read(body: &[u8]) -> Option<Vec<DeliveryId>> {
    let ids: Vec<String> = serde_json::from_slice(body).ok()?;
    let plausible = |id: &String| {
        (1..=FOREIGN_LENGTH).contains(&id.len()) && id.bytes().all(|it| it.is_ascii_graphic())
    };
    let ours = (1..=FOREIGN_IDS).contains(&ids.len()) && ids.iter().all(plausible);
    ours.then(|| ids.into_iter().map(DeliveryId::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let ids: Vec<DeliveryId> = (0..IDS_MAX).map(|_| DeliveryId::generate()).collect();
        assert_eq!(read(&write(&ids)), Some(ids));
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        let many = serde_json::to_vec(&vec!["a"; FOREIGN_IDS + 1]).expect("JSON");
        for body in [
            &b""[..],
            b"hello",
            b"{}",
            b"[]",
            b"[1]",
            b"[\"\"]",
            b"[\"a b\"]",
            "[\"\u{4e00}\"]".as_bytes(),
            &many,
        ] {
            assert_eq!(read(body), None, "{}", String::from_utf8_lossy(body));
        }
    }
}
